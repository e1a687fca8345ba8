//! Bodies that are made while they are sent: archives and build contexts.

use std::io::{self, Read, Write};

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::RequestBody;

/// Pieces that may wait for the connection; then the writer waits.
const PIECES: usize = 8;
/// Smaller pieces are put together to this size.
const PIECE: usize = 128 << 10;

/// A body written by a thread of its own. An error of the writer cuts the
/// body off, so that the daemon does not take it for whole.
pub(crate) fn stream_body(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> RequestBody {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            // Nobody takes it when the connection is gone already.
            let _ = sender.blocking_send(Err(error));
        }
        // A buffer that was not flushed because of an error is not sent.
        let _ = out.into_parts();
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    BodyExt::boxed(StreamBody::new(stream.map(|piece| piece.map(Frame::data))))
}

/// Writes everything a reader has into a body, a piece at a time.
pub(crate) fn copy(mut reader: impl Read, out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            read => out.write_all(&buffer[..read])?,
        }
    }
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(buffer);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
