//! Bodies of requests for threads that block while they read: archives and
//! build contexts.

use std::io::{self, Read};
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::task::TaskTracker;

/// How long the rest of a body is read after the work on it has failed. A
/// client that is still sending would not hear the answer: it sees only that
/// nobody reads any more. Ten gigabytes from a local client fit.
const DRAIN: Duration = Duration::from_secs(60);

type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A request's body for a thread that blocks.
pub(crate) struct Upload {
    reader: Option<SyncIoBridge<StreamReader<Pieces, Bytes>>>,
    tasks: TaskTracker,
    /// Whoever reads may be a thread that knows no runtime.
    runtime: Handle,
}

impl Upload {
    /// Takes a body over. Must be called within the runtime.
    pub(crate) fn new(body: Body, tasks: &TaskTracker) -> Self {
        let pieces: Pieces = Box::pin(body.into_data_stream().map_err(io::Error::other));
        let reader = SyncIoBridge::new(StreamReader::new(pieces));
        Self { reader: Some(reader), tasks: tasks.clone(), runtime: Handle::current() }
    }
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let read = reader.read(buffer);
        if matches!(read, Ok(0) | Err(_)) && !buffer.is_empty() {
            self.reader = None;
        }
        read
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let mut rest = reader.into_inner().into_inner();
        let draining = async move {
            let reading = async { while let Some(Ok(_)) = rest.next().await {} };
            // A client that is slower than that learns it the hard way.
            let _ = tokio::time::timeout(DRAIN, reading).await;
        };
        self.tasks.spawn_on(draining, &self.runtime);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn what_nobody_read_is_read_to_its_end() {
        let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(1);
        let pieces = stream::unfold(receiver, |mut receiver| async move {
            Some((receiver.recv().await?, receiver))
        });
        let tasks = TaskTracker::new();
        let mut upload = Upload::new(Body::from_stream(pieces), &tasks);
        sender.send(Ok(Bytes::from_static(b"first"))).await.expect("room");
        // As layers are decoded: on a thread that is not the runtime's.
        let reading = std::thread::spawn(move || {
            let mut buffer = [0; 5];
            upload.read_exact(&mut buffer).map(|()| buffer)
        });
        let read = tokio::task::spawn_blocking(|| reading.join().expect("no panic"));
        assert_eq!(&read.await.expect("a thread").expect("bytes"), b"first");
        for _ in 0..10 {
            sender.send(Ok(Bytes::from_static(b"more"))).await.expect("somebody reads");
        }
        drop(sender);
        tasks.close();
        tasks.wait().await;
    }
}
