//! Moving bytes between a shim's stream and a client, both ways at once.

use bytes::{Bytes, BytesMut};
use shoal_runtime::bundle::ExitRecord;
use shoal_runtime::protocol::{Frame, FrameKind, MAX_STREAM_PAYLOAD, encode_header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::connection::{Connection, ShimError, end_of_stream, take_frame};
use crate::stream::{OutputChunk, OutputStream};

/// The client's side of a stream.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Where output goes; `None` drops it.
    pub(crate) output: Option<mpsc::Sender<OutputChunk>>,
    /// Where input comes from; its end closes the process's stdin.
    pub(crate) input: Option<mpsc::Receiver<Bytes>>,
}

/// What becomes of a stream whose client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// It ends; its process does not.
    End,
    /// It is read to its end, for the exit code.
    Stay,
}

/// Moves bytes until the stream ends, or until the client has left. The good answer
/// is how the process ended; `None` if the client left and `leaving` says so.
pub(crate) async fn pump(
    connection: Connection,
    ends: Ends,
    leaving: Leaving,
) -> Result<Option<ExitRecord>, ShimError> {
    let Connection { stream, buffer, .. } = connection;
    let (reader, writer) = stream.into_split();
    let listening = ends.output.clone();
    let gone = async {
        match listening {
            Some(output) if leaving == Leaving::End => output.closed().await,
            _ => std::future::pending().await,
        }
    };
    let read = read(reader, buffer, ends.output, leaving);
    tokio::pin!(read, gone);
    let write = write(writer, ends.input);
    tokio::pin!(write);
    // Input that cannot be delivered says nothing about the output. The writer is
    // kept even then: closing it would look like leaving.
    let mut written = None;
    loop {
        tokio::select! {
            exit = &mut read => return exit,
            () = &mut gone => return Ok(None),
            done = &mut write, if written.is_none() => written = Some(done),
        }
    }
}

async fn read(
    mut reader: OwnedReadHalf,
    mut buffer: BytesMut,
    mut output: Option<mpsc::Sender<OutputChunk>>,
    leaving: Leaving,
) -> Result<Option<ExitRecord>, ShimError> {
    loop {
        while let Some((kind, payload)) = take_frame(&mut buffer)? {
            let stream = match kind {
                FrameKind::Stdout => OutputStream::Stdout,
                FrameKind::Stderr => OutputStream::Stderr,
                FrameKind::End => return Ok(Some(Frame { kind, payload: &payload }.exit()?)),
                other => return Err(ShimError::Unexpected(format!("{other:?} frame"))),
            };
            let Some(client) = &output else { continue };
            if client.send(OutputChunk { stream, data: payload }).await.is_err() {
                if leaving == Leaving::End {
                    return Ok(None);
                }
                output = None;
            }
        }
        // Small where little is written: there may be many quiet streams.
        buffer.reserve(4096);
        if reader.read_buf(&mut buffer).await? == 0 {
            end_of_stream(&buffer)?;
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Sends input to its end and gives the open connection back.
async fn write(
    mut writer: OwnedWriteHalf,
    input: Option<mpsc::Receiver<Bytes>>,
) -> (OwnedWriteHalf, std::io::Result<()>) {
    let sent = match input {
        Some(input) => send_all(&mut writer, input).await,
        None => Ok(()),
    };
    (writer, sent)
}

async fn send_all(
    writer: &mut OwnedWriteHalf,
    mut input: mpsc::Receiver<Bytes>,
) -> std::io::Result<()> {
    while let Some(data) = input.recv().await {
        for part in data.chunks(MAX_STREAM_PAYLOAD) {
            writer.write_all(&encode_header(FrameKind::Stdin, part.len())).await?;
            writer.write_all(part).await?;
        }
    }
    writer.write_all(&encode_header(FrameKind::StdinClose, 0)).await
}
