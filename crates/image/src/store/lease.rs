//! Leases: what is in flight is not collected.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
};

use shoal_model::Digest;

use super::{Inner, State, Store};
use crate::Image;

/// Keeps content from being collected as long as it lives. Dropped = released.
#[derive(Debug)]
pub struct Lease {
    id: u64,
    store: Weak<Inner>,
}

/// What one lease keeps.
#[derive(Default)]
pub(super) struct Held {
    pub(super) layers: HashSet<Digest>,
    pub(super) blobs: HashSet<Digest>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Store {
    /// A lease that holds nothing yet.
    pub fn lease(&self) -> Lease {
        self.inner.lease()
    }

    /// A lease on all layers given, for a container that runs on them. A
    /// daemon takes them again at its start, before it collects anything.
    pub fn lease_layers(&self, diff_ids: &[Digest]) -> Lease {
        let lease = self.lease();
        for diff_id in diff_ids {
            lease.hold_layer(diff_id);
        }
        lease
    }

    /// A lease on every layer there is, for a container of which nobody can say what it runs on.
    pub fn lease_all_layers(&self) -> Lease {
        let lease = self.lease();
        let mut state = self.inner.state();
        let all: Vec<Digest> = state.layers.keys().cloned().collect();
        all.iter().for_each(|diff_id| state.hold_layer(lease.id, diff_id));
        drop(state);
        lease
    }
}

impl Inner {
    pub(super) fn lease(self: &Arc<Self>) -> Lease {
        let mut state = self.state();
        let id = state.next_lease;
        state.next_lease += 1;
        state.leases.insert(id, Held::default());
        Lease { id, store: Arc::downgrade(self) }
    }
}

impl State {
    pub(super) fn hold_layer(&mut self, lease: u64, diff_id: &Digest) {
        if let Some(held) = self.leases.get_mut(&lease) {
            held.layers.insert(diff_id.clone());
        }
    }

    /// Its document and its layers.
    pub(super) fn hold_image(&mut self, lease: u64, image: &Image) {
        if let Some(held) = self.leases.get_mut(&lease) {
            held.blobs.insert(image.id.clone());
            held.layers.extend(image.layers.iter().cloned());
        }
    }

    pub(super) fn hold_blob(&mut self, lease: u64, digest: &Digest) {
        if let Some(held) = self.leases.get_mut(&lease) {
            held.blobs.insert(digest.clone());
        }
    }
}

impl Lease {
    /// Also keeps the layer.
    pub fn hold_layer(&self, diff_id: &Digest) {
        if let Some(store) = self.store.upgrade() {
            store.state().hold_layer(self.id, diff_id);
        }
    }

    /// Also keeps the image's document and layers. They must be held by another
    /// lease until then; see [`Store::resolve_and_lease`] for an image by name.
    pub fn hold_image(&self, image: &Image) {
        if let Some(store) = self.store.upgrade() {
            store.state().hold_image(self.id, image);
        }
    }

    /// Also keeps the blob.
    pub fn hold_blob(&self, digest: &Digest) {
        if let Some(store) = self.store.upgrade() {
            store.state().hold_blob(self.id, digest);
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(store) = self.store.upgrade() {
            store.state().leases.remove(&self.id);
        }
    }
}
