//! Builds on this node: `build::Worker` on top of the engine and the image
//! store.
//!
//! A snapshot is a directory for the kernel's overlay on top of layers of the
//! store; a process runs in a hidden container of the engine on it; what it
//! wrote becomes a layer by being moved. The cache is a set of pins in the
//! store, so that its layers stay.

mod cache;
mod resolve;
mod run;
mod snapshot;

use std::{future::Future, io, path::Path, pin::Pin, sync::Arc};

use shoal_build::{
    BaseImage, Build, BuildError, CachedStep, Event, NewImage, ResolveImage, RunEvent, RunOutcome,
    RunStep, Worker, WorkerError, cache_key::CacheKey,
};
use shoal_engine::Engine;
use shoal_image::{Lease, ProgressSink, Store};
use shoal_model::{Classify, Digest, Kind, Reference, Timestamp};
use shoal_server::docker::{BuildAuth, Builder, CacheFilter, CachePruned, CacheRecord};
use tokio::sync::mpsc;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use crate::clock::now;

pub(crate) use snapshot::LayerSnapshot;

use cache::Uses;

/// Runs all builds of a daemon.
#[derive(Debug, Clone)]
pub(crate) struct Builds {
    engine: Arc<Engine>,
    images: Arc<Store>,
    /// Removals of containers whose build was cancelled.
    cleanups: TaskTracker,
    /// When the steps of the cache were used.
    uses: Arc<Uses>,
}

impl Builds {
    /// For a daemon that has just started: contexts of builds that died with
    /// the one before go away. `root` is the daemon's data directory.
    pub(crate) fn new(root: &Path, engine: Arc<Engine>, images: Arc<Store>) -> Self {
        if let Err(error) = remove_old_contexts(&root.join("tmp")) {
            tracing::warn!(%error, "cannot remove the files of unfinished builds");
        }
        let uses = Arc::new(Uses::open(root));
        Self { engine, images, cleanups: TaskTracker::new(), uses }
    }

    /// The worker of one build, with the client's credentials.
    pub(crate) fn worker(&self, auth: BuildAuth) -> BuildWorker {
        BuildWorker {
            engine: self.engine.clone(),
            images: self.images.clone(),
            auth,
            lease: Arc::new(self.images.lease()),
            cleanups: self.cleanups.clone(),
            uses: self.uses.clone(),
            _running: self.cleanups.token(),
        }
    }

    /// Waits until all builds are over and the containers of cancelled ones are
    /// gone.
    pub(crate) async fn close(&self) {
        self.cleanups.close();
        self.cleanups.wait().await;
    }
}

impl Builder for Builds {
    fn solve(
        &self,
        build: Build,
        auth: BuildAuth,
        events: mpsc::Sender<Event>,
    ) -> Pin<Box<dyn Future<Output = Result<Digest, BuildError>> + Send>> {
        Box::pin(build.solve(Arc::new(self.worker(auth)), events))
    }

    fn cache(&self) -> Result<Vec<CacheRecord>, WorkerError> {
        cache::records(&self.images, &self.uses)
    }

    fn prune(&self, filter: &CacheFilter) -> Result<CachePruned, WorkerError> {
        cache::prune(&self.images, &self.uses, filter)
    }
}

/// The worker of one build. What the build made stays while this lives.
#[derive(Debug)]
pub(crate) struct BuildWorker {
    engine: Arc<Engine>,
    images: Arc<Store>,
    auth: BuildAuth,
    lease: Arc<Lease>,
    cleanups: TaskTracker,
    uses: Arc<Uses>,
    /// A build is over for [`Builds::close`] when the last of its stages is.
    _running: TaskTrackerToken,
}

impl Worker for BuildWorker {
    type Snapshot = LayerSnapshot;

    async fn resolve(
        &self,
        image: ResolveImage,
        progress: ProgressSink,
    ) -> Result<BaseImage, WorkerError> {
        resolve::resolve(&self.images, &self.auth, &self.lease, image, progress).await
    }

    async fn cache_source(&self, name: &str) -> Result<Option<BaseImage>, WorkerError> {
        resolve::cache_source(&self.images, &self.lease, name).await
    }

    async fn snapshot(&self, layers: &[Digest]) -> Result<LayerSnapshot, WorkerError> {
        let (images, layers) = (self.images.clone(), layers.to_vec());
        blocking(move || LayerSnapshot::new(&images, &layers)).await
    }

    async fn run(
        &self,
        snapshot: &LayerSnapshot,
        step: RunStep,
        events: mpsc::Sender<RunEvent>,
    ) -> Result<RunOutcome, WorkerError> {
        run::run(self, snapshot, step, events).await
    }

    async fn commit(&self, snapshot: LayerSnapshot) -> Result<Option<Digest>, WorkerError> {
        let (images, lease) = (self.images.clone(), self.lease.clone());
        blocking(move || snapshot.commit(&images, &lease)).await
    }

    async fn put_image(&self, image: NewImage) -> Result<Digest, WorkerError> {
        let (images, uses) = (self.images.clone(), self.uses.clone());
        blocking(move || {
            let layers = image.config.rootfs.diff_ids.clone();
            let stored =
                images.put_image(image.config, &layers, &image.tags, image.parent.as_ref());
            let id = stored.map(|image| image.id).map_err(|error| worker_error(&error))?;
            cache::trim(&images, &uses);
            Ok(id)
        })
        .await
    }

    async fn tag_image(&self, id: &Digest, tags: &[Reference]) -> Result<(), WorkerError> {
        let (images, id, tags) = (self.images.clone(), id.to_string(), tags.to_vec());
        blocking(move || {
            let mut tags = tags.iter();
            tags.try_for_each(|tag| images.tag(&id, tag)).map_err(|error| worker_error(&error))
        })
        .await
    }

    async fn cached(&self, key: &CacheKey) -> Result<Option<CachedStep>, WorkerError> {
        let found = cache::get(&self.images, &self.lease, key);
        if found.is_some() {
            self.uses.found(&key.hex(), &self.lease, now());
        }
        Ok(found)
    }

    async fn remember(&self, key: &CacheKey, step: &CachedStep) -> Result<(), WorkerError> {
        self.uses.made(&key.hex(), &self.lease);
        let (images, key, step) = (self.images.clone(), key.clone(), step.clone());
        blocking(move || cache::put(&images, &key, &step, now())).await
    }

    fn now(&self) -> Timestamp {
        now()
    }
}

/// Another crate's error as a worker's.
fn worker_error(error: &impl Classify) -> WorkerError {
    WorkerError::from_classified(error)
}

/// Trouble with files of ours.
fn file_error(what: &str, error: &io::Error) -> WorkerError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => Kind::Unavailable,
        _ => Kind::Internal,
    };
    WorkerError::new(kind, format!("{what}: {error}"))
}

/// Work on files, off the threads that drive futures.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorkerError> + Send + 'static,
) -> Result<T, WorkerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let message = format!("a step of the build ended unexpectedly: {error}");
            Err(WorkerError::new(Kind::Internal, message))
        }
    }
}

/// Contexts are named `build-…` (see [`shoal_build::Context::receive`]).
fn remove_old_contexts(directory: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("build-") {
            shoal_sys::tree::remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
