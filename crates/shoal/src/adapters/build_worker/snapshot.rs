//! A file system that can be written, on top of layers of the store.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_build::{Snapshot, WorkerError};
use shoal_image::{Lease, Scratch, Store};
use shoal_model::Digest;
use shoal_sys::overlay::{Overlay, Writable};

use super::{file_error, worker_error};

/// The writable directory and the layers below it.
#[derive(Debug)]
pub(crate) struct LayerSnapshot {
    /// Also held by a process that runs on it, until that is gone.
    scratch: Arc<Scratch>,
    lower: Vec<PathBuf>,
    /// Keeps the layers below.
    _lease: Lease,
}

impl Snapshot for LayerSnapshot {
    fn root(&self) -> io::Result<OwnedFd> {
        self.overlay().mount()
    }
}

impl LayerSnapshot {
    /// A fresh one on layers, lowest first.
    pub(super) fn new(images: &Store, layers: &[Digest]) -> Result<Self, WorkerError> {
        let lease = images.lease_layers(layers);
        let lower = images.layer_dirs(layers).map_err(|error| worker_error(&error))?;
        let scratch = Arc::new(images.scratch().map_err(|error| worker_error(&error))?);
        let snapshot = Self { scratch, lower, _lease: lease };
        snapshot.prepare().map_err(|error| file_error("cannot make a snapshot", &error))?;
        Ok(snapshot)
    }

    fn prepare(&self) -> io::Result<()> {
        fs::create_dir(self.upper())?;
        fs::create_dir(self.work())?;
        fs::create_dir(self.stubs())?;
        // The root directory of the whole is the topmost one: it must look like
        // the one below.
        let below = fs::metadata(&self.lower[0])?;
        chown(self.upper(), Some(below.uid()), Some(below.gid()))?;
        fs::set_permissions(self.upper(), below.permissions())
    }

    /// How the kernel puts it together.
    pub(super) fn overlay(&self) -> Overlay {
        let writable = Some(Writable { upper: self.upper(), work: self.work() });
        Overlay { lower: self.lower.clone(), writable }
    }

    /// The directory that takes what is written.
    pub(super) fn upper(&self) -> PathBuf {
        self.scratch.path().join("upper")
    }

    /// The kernel's own directory.
    pub(super) fn work(&self) -> PathBuf {
        self.scratch.path().join("work")
    }

    /// A layer of the mount points an image lacks, see [`Self::lower`].
    pub(super) fn stubs(&self) -> PathBuf {
        self.scratch.path().join("stubs")
    }

    /// Where the files are that only a process sees.
    pub(super) fn scripts(&self) -> PathBuf {
        self.scratch.path().join("scripts")
    }

    /// What must stay as long as something uses the directories.
    pub(super) fn keep_alive(&self) -> Arc<Scratch> {
        self.scratch.clone()
    }

    /// The layers below, topmost first, with one on top that has the mount
    /// points every container needs: else they would become part of the image.
    pub(super) fn lower(&self) -> Vec<PathBuf> {
        [&[self.stubs()], self.lower.as_slice()].concat()
    }

    /// Makes a layer of what was written, if something was.
    pub(super) fn commit(
        self,
        images: &Store,
        lease: &Lease,
    ) -> Result<Option<Digest>, WorkerError> {
        let upper = self.upper();
        let untouched = self
            .is_untouched(&upper)
            .map_err(|error| file_error("cannot read a snapshot", &error))?;
        if untouched {
            return Ok(None);
        }
        let layer = images.commit_layer(&upper, lease).map_err(|error| worker_error(&error))?;
        Ok(Some(layer.diff_id))
    }

    fn is_untouched(&self, upper: &Path) -> io::Result<bool> {
        let (now, before) = (fs::metadata(upper)?, fs::metadata(&self.lower[0])?);
        let same_root = now.permissions().mode() == before.permissions().mode()
            && (now.uid(), now.gid()) == (before.uid(), before.gid());
        Ok(same_root && fs::read_dir(upper)?.next().is_none())
    }
}
