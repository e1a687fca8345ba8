//! One layer from a registry: received, verified, kept and unpacked in one go.
//!
//! The network feeds a bounded channel; a blocking thread takes the bytes,
//! writes and sums the blob and hands them to the unpacking. When the network
//! fails the transfer goes on where it stopped.

use std::{
    io::{self, Read, Write},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes};
use shoal_model::{Digest, Reference};
use tokio::sync::mpsc;

use super::{
    super::{
        Inner, Lease,
        blobs::BlobWriter,
        layers::{Encoding, Form},
    },
    blocking,
};
use crate::{
    Error, IoCause, LayerError, LayerState, Progress, ProgressSink, RemoteError, Result,
    layer::sniff, manifest::Descriptor, remote::Session,
};

/// Chunks between network and disk; the network's are some 16 KiB each.
const QUEUE: usize = 64;
/// Tries without a new byte before giving up (Docker's number).
const MAX_TRIES: u32 = 5;
/// Before the second try; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Without a byte for this long the connection is taken for dead.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes between two progress events.
const TELL_STEP: u64 = 512 << 10;

type Queue = mpsc::Receiver<io::Result<Option<Bytes>>>;
type Feed = mpsc::Sender<io::Result<Option<Bytes>>>;

/// Everything one layer needs.
pub(super) struct Fetch<'a> {
    pub(super) store: &'a Arc<Inner>,
    pub(super) session: &'a Session,
    pub(super) name: &'a Reference,
    pub(super) layer: &'a Descriptor,
    pub(super) diff_id: &'a Digest,
    pub(super) lease: &'a Lease,
    pub(super) sink: &'a ProgressSink,
}

impl Fetch<'_> {
    /// Whether it had to be fetched.
    pub(super) async fn run(self) -> Result<bool> {
        let lock = self.store.layer_locks.of(self.diff_id);
        let _turn = match lock.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                tell(self.sink, self.layer, LayerState::Waiting, 0);
                lock.lock().await
            }
        };
        if self.store.hold_if_present(self.diff_id, self.lease).is_some() {
            tell(self.sink, self.layer, LayerState::AlreadyExists, 0);
            return Ok(false);
        }
        let (feed, queue) = mpsc::channel(QUEUE);
        let taking = Taking {
            store: self.store.clone(),
            diff_id: self.diff_id.clone(),
            layer: self.layer.clone(),
            source: self.name.without_suffix(),
            lease: self.store.lease(),
        };
        let taken = blocking(move || taking.run(queue));
        let (sent, taken) = tokio::join!(self.send(feed), taken);
        let taking = match (sent, taken) {
            (Ok(()), Ok(lease)) => lease,
            // The receiving end failed first, or is why the sending one did.
            (Ok(()) | Err(Error::Cancelled(_)), Err(error)) => return Err(error),
            (Err(error), _) => return Err(error),
        };
        // From one lease to the other without a moment between.
        self.lease.hold_layer(self.diff_id);
        drop(taking);
        tell(self.sink, self.layer, LayerState::PullComplete, 0);
        Ok(true)
    }

    /// Feeds the queue to its end.
    async fn send(&self, feed: Feed) -> Result<()> {
        let outcome = self.transfer(&feed).await;
        let end = match &outcome {
            Ok(()) => Ok(None),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        let _ = feed.send(end).await;
        if outcome.is_ok() {
            tell(self.sink, self.layer, LayerState::DownloadComplete, 0);
            tell(self.sink, self.layer, LayerState::Extracting, self.layer.size);
        }
        outcome
    }

    async fn transfer(&self, feed: &Feed) -> Result<()> {
        let mut progress = Received { bytes: 0, told: 0 };
        let mut tries = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            let before = progress.bytes;
            let failed = match self.attempt(feed, &mut progress).await {
                Ok(()) => return Ok(()),
                Err(Error::Remote(error)) if error.is_passing() => error,
                Err(error) => return Err(error),
            };
            if progress.bytes > before {
                (tries, pause) = (0, FIRST_PAUSE);
            }
            tries += 1;
            if tries == MAX_TRIES {
                return Err(failed.into());
            }
            tracing::info!(layer = %self.layer.digest, %failed, "fetching again");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// One connection's worth, from where the last one stopped.
    async fn attempt(&self, feed: &Feed, received: &mut Received) -> Result<()> {
        let of_pull = |error: RemoteError| Error::from(error.of_pull(self.name));
        let response = self.session.blob(&self.layer.digest, received.bytes).await;
        let mut response = response.map_err(of_pull)?;
        // Without ranges the registry begins anew.
        let mut skip = if response.status().as_u16() == 206 { 0 } else { received.bytes };
        loop {
            let chunk = match tokio::time::timeout(READ_TIMEOUT, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(self.interrupted(&error.to_string())),
                Err(_) => return Err(self.interrupted("no data for too long")),
            };
            let seen = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= seen as u64;
            let chunk = chunk.slice(seen..);
            received.bytes += chunk.len() as u64;
            if received.bytes > self.layer.size {
                let reason = format!("{} is longer than its manifest says", self.layer.digest);
                return Err(RemoteError::Protocol(reason).into());
            }
            if !chunk.is_empty() && feed.send(Ok(Some(chunk))).await.is_err() {
                return Err(Error::Cancelled("unpacking".into()));
            }
            if received.bytes - received.told >= TELL_STEP {
                received.told = received.bytes;
                tell(self.sink, self.layer, LayerState::Downloading, received.bytes);
            }
        }
        if received.bytes < self.layer.size {
            return Err(self.interrupted("unexpected EOF"));
        }
        Ok(())
    }

    fn interrupted(&self, reason: &str) -> Error {
        RemoteError::Unreachable {
            method: "Get",
            url: format!("blob {}", self.layer.digest),
            reason: reason.into(),
        }
        .into()
    }
}

struct Received {
    bytes: u64,
    told: u64,
}

/// Tells where a layer is.
pub(super) fn tell(sink: &ProgressSink, layer: &Descriptor, state: LayerState, current: u64) {
    let counted = matches!(state, LayerState::Downloading | LayerState::Extracting);
    let total = if counted { layer.size } else { 0 };
    sink(Progress::Layer { id: layer.digest.short().into(), state, current, total });
}

/// The blocking end.
struct Taking {
    store: Arc<Inner>,
    diff_id: Digest,
    layer: Descriptor,
    source: Reference,
    lease: Lease,
}

impl Taking {
    fn run(self, queue: Queue) -> Result<Lease> {
        let failed = |source| Error::Layer { layer: self.layer.digest.to_string(), source };
        let blob = self.store.new_blob()?;
        let mut incoming = Incoming {
            queue,
            current: Bytes::new(),
            start: [0; 6],
            blob,
            ended: false,
            write_error: None,
        };
        let prepared = self.store.unpack_aside(&mut incoming);
        if let Some(error) = incoming.write_error.take() {
            let action = format!("write blob {}", self.layer.digest);
            return Err(failed(LayerError::Io { action, source: IoCause(error) }));
        }
        let prepared = prepared.map_err(failed)?;
        let encoding = sniff(&incoming.start).map_err(|e| failed(LayerError::Source(e.into())))?;
        let blob = incoming.blob.seal();
        if blob.digest != self.layer.digest {
            return Err(Error::DigestMismatch {
                what: "filesystem layer verification failed".into(),
                expected: self.layer.digest.clone(),
                actual: blob.digest.clone(),
            });
        }
        if prepared.unpacked.diff_id != self.diff_id {
            return Err(Error::DigestMismatch {
                what: format!("layer {} does not match the image configuration", blob.digest),
                expected: self.diff_id.clone(),
                actual: prepared.unpacked.diff_id.clone(),
            });
        }
        let (digest, size) = self.store.commit_blob(blob, None, &self.lease)?;
        let encoding = Encoding::from(encoding);
        let form = Form { digest, size, encoding, stored: true, sources: vec![self.source] };
        self.store.register(prepared, false, Some(form), &self.lease)?;
        Ok(self.lease)
    }
}

/// The layer's bytes as they arrive; each is written to the blob on its way.
struct Incoming {
    queue: Queue,
    current: Bytes,
    /// By which the compression is told.
    start: [u8; 6],
    blob: BlobWriter,
    ended: bool,
    write_error: Option<io::Error>,
}

impl Incoming {
    fn next(&mut self) -> io::Result<()> {
        match self.queue.blocking_recv() {
            Some(Ok(Some(chunk))) => {
                let at = usize::try_from(self.blob.size()).unwrap_or(usize::MAX);
                if at < self.start.len() {
                    let length = chunk.len().min(self.start.len() - at);
                    self.start[at..at + length].copy_from_slice(&chunk[..length]);
                }
                if let Err(error) = self.blob.write_all(&chunk) {
                    let kind = error.kind();
                    self.write_error = Some(error);
                    return Err(kind.into());
                }
                self.current = chunk;
            }
            Some(Ok(None)) => self.ended = true,
            Some(Err(error)) => return Err(error),
            // Whoever wanted the image is gone.
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            self.next()?;
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}
