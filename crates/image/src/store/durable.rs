//! What has a name survives a power failure.
//!
//! Layers and blobs are not flushed one by one: a layer has thousands of files,
//! and a build makes a layer with every step. Instead the whole file system is
//! flushed once (`syncfs`) before the index names an image, and not at all when
//! nothing was stored since the last time.
//!
//! Two things name content without an image. A layer without any name is
//! collected at the next start and needs no care. A pin is *fresh* until the
//! next flush: it lies in a folder named after this boot, and a store that is
//! opened after another one forgets it. So the steps of a build cost no flush;
//! what a power failure can take is the cache of a build that did not end.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        MutexGuard, PoisonError,
        atomic::Ordering::{Acquire, Release},
    },
};

use super::Inner;
use crate::{Error, Result};

/// What whoever writes names must know.
pub(super) struct Writer {
    /// Count of what is known to be on the disk; what an earlier daemon stored
    /// is not.
    flushed: Option<u64>,
    /// File names of fresh pins.
    fresh: BTreeSet<String>,
}

impl Writer {
    pub(super) fn new(fresh: BTreeSet<String>) -> Self {
        Self { flushed: None, fresh }
    }

    pub(super) fn is_flushed(&self, store: &Inner) -> bool {
        self.flushed == Some(store.stored.load(Acquire))
    }

    pub(super) fn is_fresh(&self, pin: &str) -> bool {
        self.fresh.contains(pin)
    }

    pub(super) fn set_fresh(&mut self, pin: String, fresh: bool) {
        if fresh {
            self.fresh.insert(pin);
        } else {
            self.fresh.remove(&pin);
        }
    }
}

impl Inner {
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was stored that is not flushed.
    pub(super) fn note_stored(&self) {
        self.stored.fetch_add(1, Release);
    }

    /// Sees to it that all that is stored is on the disk.
    pub(super) fn flush(&self, writer: &mut Writer) -> Result<()> {
        if writer.is_flushed(self) {
            return Ok(());
        }
        let stored = self.stored.load(Acquire);
        rustix::fs::syncfs(self.lock.file())
            .map_err(|error| Error::io("flush the image store")(error.into()))?;
        writer.flushed = Some(stored);
        // The files themselves were flushed, too, and may outlive the boot.
        let fresh = std::mem::take(&mut writer.fresh);
        for name in fresh {
            let moved =
                fs::rename(self.dirs.fresh_pins().join(&name), self.dirs.pins().join(&name));
            if let Err(error) = moved {
                tracing::warn!(%error, pin = name, "pin not kept beyond this boot");
                writer.fresh.insert(name);
            }
        }
        Ok(())
    }
}
