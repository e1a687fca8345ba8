//! One connection to a shim.

use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use shoal_runtime::bundle::{Bundle, SOCKET_NAME};
pub(crate) use shoal_runtime::client::CallError as ShimError;
use shoal_runtime::launch::CREATE_REQUEST_ID;
use shoal_runtime::protocol::{
    Frame, FrameError, FrameKind, HEADER_LENGTH, Operation, Outcome, Reply, Request, decode_header,
    encode_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Room asked for per read on a connection that carries answers only: they are
/// short, and there are as many such connections as containers.
const ANSWER_READ_BYTES: usize = 512;

/// How long a shim may take to connect and answer. It does nothing that lasts: one that takes
/// longer is stopped or stuck, and whoever waits for it may hold locks.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Pause before a shim is tried again that has not yet taken those who came before.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// A connection to a shim, on which requests are made one after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) buffer: BytesMut,
    next_id: u64,
    /// The shim's process, as the kernel told it; `None` on a connection of a launch.
    shim: Option<Pid>,
}

impl Connection {
    /// Connects to the shim of `bundle`. `NotFound` or `ConnectionRefused`: there is none.
    pub(crate) async fn open(bundle: &Bundle) -> io::Result<Self> {
        // The path may be longer than a socket address, so it is named by descriptor.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(bundle.dir(), flags, Mode::empty())?;
        let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd());
        let stream = loop {
            match UnixStream::connect(&path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                other => break other?,
            }
        };
        let shim = stream.peer_cred()?.pid().and_then(Pid::from_raw);
        Ok(Self::new(stream, shim))
    }

    /// Connects to the shim of `bundle`, asks one thing and waits for the answer, in time.
    ///
    /// # Errors
    /// [`is_late`] where it was not in time.
    pub(crate) async fn ask(
        bundle: &Bundle,
        operation: Operation,
    ) -> Result<(Self, Reply), ShimError> {
        in_time(ANSWER_DEADLINE, async {
            let mut connection = Self::open(bundle).await?;
            let reply = connection.call(operation).await?;
            Ok((connection, reply))
        })
        .await
    }

    /// Takes over the connection of a launch.
    pub(crate) fn over(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // The other end was made by this very process, says the kernel.
        Ok(Self::new(UnixStream::from_std(stream)?, None))
    }

    fn new(stream: UnixStream, shim: Option<Pid>) -> Self {
        Connection { stream, buffer: BytesMut::new(), next_id: CREATE_REQUEST_ID + 1, shim }
    }

    /// Asks without waiting; the id is for [`Connection::answer`].
    pub(crate) async fn send(&mut self, operation: Operation) -> Result<u64, ShimError> {
        let [id] = self.send_all([operation]).await?;
        Ok(id)
    }

    /// Asks several things in one write: a shim that leaves after the first has them all.
    pub(crate) async fn send_all<const N: usize>(
        &mut self,
        operations: [Operation; N],
    ) -> Result<[u64; N], ShimError> {
        let mut bytes = Vec::new();
        let mut ids = [0; N];
        for (place, operation) in ids.iter_mut().zip(operations) {
            *place = self.next_id;
            self.next_id += 1;
            encode_request(&Request { id: *place, operation }, &mut bytes)?;
        }
        self.stream.write_all(&bytes).await?;
        Ok(ids)
    }

    /// Waits for the answer to request `id`, which must be the next thing to come.
    pub(crate) async fn answer(&mut self, id: u64) -> Result<Reply, ShimError> {
        let (kind, payload) =
            self.next_frame().await?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if kind != FrameKind::Response {
            return Err(ShimError::Unexpected(format!("{kind:?} frame")));
        }
        let response = Frame { kind, payload: &payload }.response()?;
        if response.id != id {
            return Err(ShimError::Unexpected(format!("answer to request {}", response.id)));
        }
        match response.outcome {
            Outcome::Ok(reply) => Ok(reply),
            Outcome::Failed(failure) => Err(failure.into()),
        }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn call(&mut self, operation: Operation) -> Result<Reply, ShimError> {
        let id = self.send(operation).await?;
        self.answer(id).await
    }

    /// Reads until the shim has closed: then nothing of its container is left.
    pub(crate) async fn drain(&mut self) -> Result<(), ShimError> {
        while self.next_frame().await?.is_some() {}
        Ok(())
    }

    /// Kills the shim at the other end, which must have been connected to by its socket.
    pub(crate) fn kill_shim(&self) -> io::Result<()> {
        let Some(shim) = self.shim else { return Err(io::ErrorKind::Unsupported.into()) };
        let process = pidfd_open(shim, PidfdFlags::empty())?;
        // Asked after the process was opened: while the shim holds its end, the number is its own.
        let mut end = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        let closed = poll(&mut end, Some(&Timespec::default()))? > 0;
        if !closed {
            pidfd_send_signal(&process, Signal::KILL)?;
        }
        Ok(())
    }

    /// The next whole frame; `None` at the end. Given up half way, nothing is lost.
    pub(crate) async fn next_frame(&mut self) -> Result<Option<(FrameKind, Bytes)>, ShimError> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(ANSWER_READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return end_of_stream(&self.buffer).map(|()| None);
            }
        }
    }
}

/// Waits for `asked`, but not for ever.
///
/// # Errors
/// [`is_late`] where the time is up.
pub(crate) async fn in_time<T>(
    deadline: Duration,
    asked: impl Future<Output = Result<T, ShimError>>,
) -> Result<T, ShimError> {
    tokio::time::timeout(deadline, asked).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", deadline.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
    })
}

/// Whether a shim did not answer in time: unlike one that has left, it is still there.
pub(crate) fn is_late(error: &ShimError) -> bool {
    matches!(error, ShimError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Takes the first frame off the buffer if it is there as a whole. Its payload shares
/// the buffer's memory.
pub(super) fn take_frame(buffer: &mut BytesMut) -> Result<Option<(FrameKind, Bytes)>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_LENGTH>() else { return Ok(None) };
    let (kind, length) = decode_header(header)?;
    if buffer.len() < HEADER_LENGTH + length {
        buffer.reserve(HEADER_LENGTH + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEADER_LENGTH);
    Ok(Some((kind, buffer.split_to(length).freeze())))
}

/// A good end is one between frames.
pub(super) fn end_of_stream(rest: &BytesMut) -> Result<(), ShimError> {
    if rest.is_empty() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) }
}

#[cfg(test)]
mod tests {
    use shoal_runtime::protocol::encode;

    use super::*;

    #[test]
    fn frames_are_taken_whole_and_in_order() {
        let mut wire = Vec::new();
        encode(FrameKind::Stdout, b"one", &mut wire);
        encode(FrameKind::Stderr, b"", &mut wire);
        let mut buffer = BytesMut::new();
        let mut taken = Vec::new();
        for byte in wire {
            buffer.extend_from_slice(&[byte]);
            taken.extend(take_frame(&mut buffer).unwrap());
        }
        let wanted = [(FrameKind::Stdout, Bytes::from("one")), (FrameKind::Stderr, Bytes::new())];
        assert_eq!(taken, wanted);
        assert!(end_of_stream(&buffer).is_ok());
    }

    #[test]
    fn rubbish_is_refused() {
        let mut buffer = BytesMut::from(&b"GET / HTTP/1.1"[..]);
        assert!(take_frame(&mut buffer).is_err());
    }
}
