//! A blocking client of a shim: for the shim's own command line, tests and
//! whoever has no reactor. The engine speaks [`crate::protocol`] by itself.

use std::{
    io::{self, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    time::Duration,
};

use rustix::fs::{Mode, OFlags, open};
use shoal_model::{Classify, Kind};

use crate::{
    bundle::{Bundle, ExitRecord, SOCKET_NAME},
    protocol::{
        Decoder, Failure, FrameError, FrameKind, Operation, Outcome, Reply, Request, encode,
        encode_request,
    },
};

/// Bytes asked for per read.
const READ_SIZE: usize = 64 * 1024;

/// A connection to a shim.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    next_id: u64,
}

/// A frame that is not an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// From the container or exec.
    Stdout(Vec<u8>),
    /// From the container or exec.
    Stderr(Vec<u8>),
    /// The stream's last frame.
    End(ExitRecord),
}

/// A call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection broke, or the shim left.
    #[error("lost the connection to the shim")]
    Io(#[from] io::Error),
    /// The other side does not speak the protocol.
    #[error("the shim sent something else than frames")]
    Frame(#[from] FrameError),
    /// The other side sent a good frame at the wrong moment.
    #[error("the shim sent an unexpected {0}")]
    Unexpected(String),
    /// The shim said no.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Classify for CallError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io(_) => Kind::Unavailable,
            Self::Frame(_) | Self::Unexpected(_) => Kind::Internal,
            Self::Failed(failure) => failure.kind(),
        }
    }
}

/// Connects to the shim of `bundle`. `NotFound` or `ConnectionRefused`: there is
/// none any more. The bundle's path may be longer than a socket address: it is
/// reached through a descriptor of its directory.
pub fn connect(bundle: &Bundle) -> io::Result<UnixStream> {
    let dir =
        open(bundle.dir(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd()))
}

impl Connection {
    /// Connects to the shim of `bundle`.
    pub fn open(bundle: &Bundle) -> io::Result<Self> {
        connect(bundle).map(Self::over)
    }

    /// Takes over a stream on which nothing has been read yet.
    pub fn over(stream: UnixStream) -> Self {
        // 0 is the launch's own `Create`.
        Self { stream, decoder: Decoder::new(), next_id: 1 }
    }

    /// Lets every later read fail after this time without bytes.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    /// Asks, and waits for the answer.
    pub fn call(&mut self, operation: Operation) -> Result<Reply, CallError> {
        let id = self.send(operation)?;
        self.answer(id)
    }

    /// Asks without waiting; returns the id for [`Connection::answer`].
    pub fn send(&mut self, operation: Operation) -> Result<u64, CallError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut bytes = Vec::new();
        encode_request(&Request { id, operation }, &mut bytes)?;
        self.stream.write_all(&bytes)?;
        Ok(id)
    }

    /// Waits for the answer to request `id`; no other frame may come before it.
    pub fn answer(&mut self, id: u64) -> Result<Reply, CallError> {
        let (kind, payload) =
            self.read_frame()?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if kind != FrameKind::Response {
            return Err(CallError::Unexpected(format!("{kind:?} frame")));
        }
        let response = crate::protocol::Frame { kind, payload: &payload }.response()?;
        match response.outcome {
            _ if response.id != id => {
                Err(CallError::Unexpected(format!("answer to request {}", response.id)))
            }
            Outcome::Ok(reply) => Ok(reply),
            Outcome::Failed(failure) => Err(CallError::Failed(failure)),
        }
    }

    /// Sends input.
    pub fn write_stdin(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut frames = Vec::with_capacity(bytes.len() + 8);
        if !bytes.is_empty() {
            encode(FrameKind::Stdin, bytes, &mut frames);
        }
        self.stream.write_all(&frames)
    }

    /// Says that no more input comes.
    pub fn close_stdin(&mut self) -> io::Result<()> {
        let mut frames = Vec::new();
        encode(FrameKind::StdinClose, b"", &mut frames);
        self.stream.write_all(&frames)
    }

    /// The next output of a stream; `None` when the shim closed the connection.
    pub fn output(&mut self) -> Result<Option<Output>, CallError> {
        let Some((kind, payload)) = self.read_frame()? else { return Ok(None) };
        Ok(Some(match kind {
            FrameKind::Stdout => Output::Stdout(payload),
            FrameKind::Stderr => Output::Stderr(payload),
            FrameKind::End => {
                Output::End(crate::protocol::Frame { kind, payload: &payload }.exit()?)
            }
            other => return Err(CallError::Unexpected(format!("{other:?} frame"))),
        }))
    }

    fn read_frame(&mut self) -> Result<Option<(FrameKind, Vec<u8>)>, CallError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some((frame.kind, frame.payload.to_vec())));
            }
            let mut buffer = vec![0; READ_SIZE];
            match self.stream.read(&mut buffer) {
                Ok(0) if self.decoder.pending() == 0 => return Ok(None),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
