//! The store: what is on disk, what is in memory, and the rules between.
//!
//! ```text
//! root/lock           held while a process has the store open
//! root/index.json     images and their names; replaced as a whole
//! root/blobs/sha256/  content by digest: documents, compressed layers
//! root/layers/HEX/    layer.json, and diff/ for overlay; HEX is the diff id
//! root/pins/          named roots; those of this boot that are not known to be
//!                     on the disk yet are in fresh/BOOT/
//! root/empty/         the lower directory of an image without layers
//! root/ingest/        everything not finished; emptied by every open
//! ```
//!
//! Content first, then the name: blobs and layers are made in `ingest` and
//! appear by one rename; an image appears when the index that names it does,
//! and by then its content is on the disk ([`durable`]). The index is written
//! under `writer`, and readers never wait for the disk.

mod blobs;
mod commit;
mod dirs;
mod durable;
mod gc;
mod history;
mod import;
mod index;
mod layers;
mod lease;
mod list;
mod load;
mod open;
mod pins;
mod prune;
mod pull;
mod push;
mod put;
mod registries;
mod remove;
mod resolve;
mod save;
mod tag;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use shoal_model::Digest;

use self::{
    dirs::Dirs,
    durable::Writer,
    index::Index,
    layers::{LayerLocks, LayerRecord},
    lease::Held,
    open::Lock,
    pull::Flights,
};
pub use self::{
    gc::Usage, import::ImportOptions, lease::Lease, list::ListFilter, pins::Pin,
    prune::PruneFilter, put::Scratch,
};
use crate::{Image, ImageConfig, Result, remote::Registries};

/// Settings of a store. `Default` is Docker's behaviour.
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    /// Registries (`host`, `host:port`, or a CIDR) that may be spoken to
    /// without TLS or with a certificate nobody vouches for. Loopback always
    /// may.
    pub insecure_registries: Vec<String>,
    /// Directory with a folder per registry holding `*.crt` to trust
    /// (Docker's `/etc/docker/certs.d`).
    pub certs_dir: Option<PathBuf>,
}

/// The image store of one daemon. Cheap to clone; all methods may be called
/// from any thread. Methods that are not `async` may touch the disk: call them
/// from a blocking thread where they move whole layers (`save`, `load`,
/// `import`, `commit_layer`, `copy_layer`, `put_layer`, `remove`, `prune`).
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    dirs: Dirs,
    state: Mutex<State>,
    /// Held while the index or a pin is replaced.
    writer: Mutex<Writer>,
    /// Counts what was stored since the store was opened.
    stored: AtomicU64,
    registries: Registries,
    flights: Flights,
    layer_locks: LayerLocks,
    /// Locked as long as it is open.
    lock: Lock,
}

/// What is known without touching the disk.
#[derive(Default)]
struct State {
    index: Index,
    documents: HashMap<Digest, Arc<ImageConfig>>,
    layers: HashMap<Digest, LayerRecord>,
    pins: BTreeMap<String, Pin>,
    leases: HashMap<u64, Held>,
    next_lease: u64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("root", &self.inner.dirs.root()).finish_non_exhaustive()
    }
}

impl Inner {
    /// The state. Held for moments, never across I/O on file contents.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the index: on disk first, then for readers.
    fn update<T>(&self, change: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        self.update_as(&mut self.writer(), change)
    }

    /// As [`Inner::update`], by whom the writer's lock is held.
    fn update_as<T>(
        &self,
        _writer: &mut Writer,
        change: impl FnOnce(&mut Index) -> Result<T>,
    ) -> Result<T> {
        let mut next = self.state().index.clone();
        let outcome = change(&mut next)?;
        next.write(&self.dirs)?;
        self.state().index = next;
        Ok(outcome)
    }
}

impl State {
    /// The image as its users see it.
    fn image(&self, id: &Digest) -> Option<Image> {
        self.image_named(id, self.index.names_of(id))
    }

    fn image_named(&self, id: &Digest, names: index::Names) -> Option<Image> {
        let record = self.index.images.get(id)?;
        let config = self.documents.get(id)?.clone();
        let layers = config.rootfs.diff_ids.clone();
        let size = layers.iter().filter_map(|id| self.layers.get(id)).map(|layer| layer.size).sum();
        Some(Image {
            id: id.clone(),
            layers,
            repo_tags: names.tags.iter().map(|name| name.familiar()).collect(),
            repo_digests: names.digests.iter().map(|name| name.familiar()).collect(),
            size,
            created: config.created.as_deref().and_then(|text| text.parse().ok()),
            parent: record.parent.clone(),
            last_tagged: record.last_tagged,
            config,
        })
    }
}

/// Now, for what the store itself records (a tag's time).
fn now() -> shoal_model::Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    shoal_model::Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "store/tests/mod.rs"]
mod tests;
