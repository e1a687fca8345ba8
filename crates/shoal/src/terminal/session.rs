//! A conversation with a container over a taken-over connection.

use std::io;

use anyhow::Result;
use shoal_server::docker::{DetachKeys, Input};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::client::{Duplex, FrameReader, Source};
use crate::print;

/// How much is read at once: one full pipe.
const BUFFER: usize = 64 << 10;

/// Why a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The container closed its output.
    Closed,
    /// The person typed the detach keys.
    Detached,
}

/// A conversation to hold.
#[derive(Debug)]
pub(crate) struct Session {
    /// Whether the container has a terminal.
    pub(crate) tty: bool,
    /// Whether our standard input goes to the container.
    pub(crate) stdin: bool,
    /// Which outputs are wanted.
    pub(crate) stdout: bool,
    /// Which outputs are wanted.
    pub(crate) stderr: bool,
    /// The keys that leave a terminal; none without one.
    pub(crate) detach: Option<DetachKeys>,
}

impl Session {
    /// Copies both ways until the container closes its output or the person
    /// leaves. The end of our input closes the container's, while its output
    /// goes on.
    ///
    /// # Errors
    /// When the connection breaks or nobody reads our output.
    pub(crate) async fn hold(self, stream: Box<dyn Duplex>) -> Result<End> {
        let (reader, writer) = tokio::io::split(stream);
        let output = show(reader, self.tty, self.stdout, self.stderr);
        if !self.stdin {
            return output.await.map(|()| End::Closed);
        }
        let input = send(writer, self.detach);
        tokio::pin!(output, input);
        tokio::select! {
            shown = &mut output => shown.map(|()| End::Closed),
            left = &mut input => match left {
                Ok(End::Detached) => Ok(End::Detached),
                // Our input is at its end, or the container no longer reads.
                Ok(End::Closed) | Err(_) => output.await.map(|()| End::Closed),
            },
        }
    }
}

async fn show(
    mut reader: impl AsyncRead + Unpin,
    tty: bool,
    stdout: bool,
    stderr: bool,
) -> Result<()> {
    let mut frames = FrameReader::new(tty);
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match reader.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        frames.feed(&buffer[..read]);
        while let Some(frame) = frames.next()? {
            match frame.source {
                Source::Stdout if stdout => print::bytes(&frame.data)?,
                Source::Stderr if stderr => print::error_bytes(&frame.data)?,
                Source::Stdout | Source::Stderr => {}
            }
        }
    }
}

async fn send(mut writer: impl AsyncWrite + Unpin, keys: Option<DetachKeys>) -> Result<End> {
    let mut keys = keys;
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = stdin.read(&mut buffer).await?;
        if read == 0 {
            writer.shutdown().await?;
            return Ok(End::Closed);
        }
        let input = match &mut keys {
            Some(keys) => keys.feed(&buffer[..read]),
            None => Input::Pass(buffer[..read].to_vec()),
        };
        let (bytes, detached) = match input {
            Input::Pass(bytes) => (bytes, false),
            Input::Detach(bytes) => (bytes, true),
        };
        writer.write_all(&bytes).await?;
        writer.flush().await?;
        if detached {
            return Ok(End::Detached);
        }
    }
}
