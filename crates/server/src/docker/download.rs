//! Bodies of answers from threads that block while they write: archives.

use std::io::{self, BufWriter, Write};

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// What is written is sent in pieces of so many bytes.
const PIECE: usize = 64 << 10;

/// Pieces that may wait for a slow client; then the writer waits.
const WAITING: usize = 4;

/// The body `write` makes. It breaks off when that fails, so that nobody takes
/// what has been sent for the whole.
pub(crate) fn download<E, F>(tasks: &TaskTracker, write: F) -> Body
where
    E: std::error::Error + Send + Sync + 'static,
    F: FnOnce(&mut dyn Write) -> Result<(), E> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(WAITING);
    let writing = tasks.spawn_blocking(move || {
        let mut out = BufWriter::with_capacity(PIECE, Pieces(sender));
        write(&mut out).map_err(io::Error::other).and_then(|()| out.flush())
    });
    let pieces = stream::unfold((pieces, Some(writing)), |(mut pieces, writing)| async move {
        if let Some(piece) = pieces.recv().await {
            return Some((Ok(piece), (pieces, writing)));
        }
        let error = match writing?.await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error,
            Err(lost) => io::Error::other(lost),
        };
        tracing::info!(%error, "an answer was not sent to its end");
        Some((Err(error), (pieces, None)))
    });
    Body::from_stream(pieces)
}

struct Pieces(mpsc::Sender<Bytes>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn read<F>(write: F) -> Result<Bytes, axum::Error>
    where
        F: FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    {
        to_bytes(download(&TaskTracker::new(), write), usize::MAX).await
    }

    #[tokio::test]
    async fn what_is_written_is_sent() {
        let sent = read(|out| (0..10).try_for_each(|_| out.write_all(&[7; PIECE - 1])));
        assert_eq!(sent.await.expect("a body"), vec![7; 10 * (PIECE - 1)]);
    }

    #[tokio::test]
    async fn what_is_not_written_to_its_end_breaks_off() {
        let failed = read(|out| {
            out.write_all(&[7; 2 * PIECE])?;
            Err(io::Error::other("the disk is gone"))
        });
        assert!(failed.await.expect_err("no whole").to_string().contains("the disk is gone"));
        let lost = read(|_| panic!("a defect"));
        assert!(lost.await.is_err());
    }

    #[tokio::test]
    async fn a_writer_ends_with_its_client() {
        let tasks = TaskTracker::new();
        drop(download(&tasks, |out| -> io::Result<()> {
            loop {
                out.write_all(&[7; PIECE])?;
            }
        }));
        tasks.close();
        tasks.wait().await;
    }
}
