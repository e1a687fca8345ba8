//! Collecting what nothing holds: mark from images, pins and leases, sweep
//! the rest. What is found unheld is taken out of sight under the state's lock,
//! as nobody may take hold of it in between; listing the blobs comes before, and
//! removing files after.

use std::{collections::HashSet, ffi::OsString, fs, io};

use shoal_model::Digest;

use super::{Inner, State, Store, dirs::Discarded};
use crate::{Error, Result};

/// What the store holds (`docker system df`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Images.
    pub images: usize,
    /// Bytes of all layers, each counted once.
    pub layers_bytes: u64,
    /// Bytes of layers no image uses (a build cache, leases).
    pub unreferenced_bytes: u64,
}

/// What a collection took.
#[derive(Default)]
pub(super) struct Swept {
    pub(super) layers: HashSet<Digest>,
    pub(super) bytes: u64,
    discarded: Vec<Discarded>,
}

impl Store {
    /// Removes layers and blobs that no image, pin or lease holds; the bytes
    /// they had.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn collect_garbage(&self) -> Result<u64> {
        self.inner.sweep().map(|swept| swept.bytes)
    }

    /// What the store holds.
    pub fn usage(&self) -> Usage {
        let state = self.inner.state();
        let of_images = state.image_roots().layers;
        let total = |wanted: &dyn Fn(&Digest) -> bool| -> u64 {
            let layers = state.layers.values().filter(|layer| wanted(&layer.diff_id));
            layers.map(|layer| layer.size).sum()
        };
        Usage {
            images: state.index.images.len(),
            layers_bytes: total(&|_| true),
            unreferenced_bytes: total(&|id| !of_images.contains(id)),
        }
    }
}

impl Inner {
    pub(super) fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        let result = self.take_out_of_sight(&mut swept);
        for discarded in std::mem::take(&mut swept.discarded) {
            discarded.remove();
        }
        result.map(|()| swept)
    }

    fn take_out_of_sight(&self, swept: &mut Swept) -> Result<()> {
        // Listed before anybody has to wait. What appears meanwhile is held, or
        // for the next time.
        let blobs = self.list_blobs()?;
        let mut state = self.state();
        let roots = state.roots();
        let victims: Vec<Digest> =
            state.layers.keys().filter(|id| !roots.layers.contains(*id)).cloned().collect();
        for id in victims {
            let discarded = self
                .dirs
                .discard(&self.dirs.layer(&id))
                .map_err(Error::io(format!("remove layer {id}")))?;
            swept.discarded.push(discarded);
            swept.bytes += state.layers.remove(&id).map_or(0, |layer| layer.size);
            swept.layers.insert(id);
        }
        for name in blobs {
            if roots.blobs.contains(name.as_encoded_bytes()) {
                continue;
            }
            let path = self.dirs.blobs().join(name);
            let bytes = fs::symlink_metadata(&path).map_or(0, |status| status.len());
            match self.dirs.discard(&path) {
                Ok(discarded) => {
                    swept.bytes += bytes;
                    swept.discarded.push(discarded);
                }
                // Another collection was here first.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("remove blob")(error)),
            }
        }
        // A document may be held by a lease while its image is being named.
        state.documents.retain(|id, _| roots.blobs.contains(id.hex().as_bytes()));
        Ok(())
    }

    /// The names of all blobs.
    fn list_blobs(&self) -> Result<Vec<OsString>> {
        let items = fs::read_dir(self.dirs.blobs()).map_err(Error::io("list blobs"))?;
        let listed = items.map(|item| item.map(|item| item.file_name()));
        listed.collect::<io::Result<_>>().map_err(Error::io("list blobs"))
    }
}

/// What must stay.
#[derive(Default)]
struct Roots {
    layers: HashSet<Digest>,
    /// File names: the hexadecimal parts.
    blobs: HashSet<Vec<u8>>,
}

impl Roots {
    fn blob(&mut self, digest: &Digest) {
        self.blobs.insert(digest.hex().as_bytes().to_vec());
    }
}

impl State {
    fn image_roots(&self) -> Roots {
        let mut roots = Roots::default();
        for (id, record) in &self.index.images {
            roots.blob(id);
            record.manifests.iter().for_each(|manifest| roots.blob(manifest));
            if let Some(document) = self.documents.get(id) {
                roots.layers.extend(document.rootfs.diff_ids.iter().cloned());
            }
        }
        roots
    }

    fn roots(&self) -> Roots {
        let mut roots = self.image_roots();
        for pin in self.pins.values() {
            roots.layers.extend(pin.layers.iter().cloned());
            pin.blobs.iter().for_each(|blob| roots.blob(blob));
        }
        for held in self.leases.values() {
            roots.layers.extend(held.layers.iter().cloned());
            held.blobs.iter().for_each(|blob| roots.blob(blob));
        }
        for id in roots.layers.clone() {
            let forms = self.layers.get(&id).into_iter().flat_map(|layer| &layer.forms);
            forms.filter(|form| form.stored).for_each(|form| roots.blob(&form.digest));
        }
        roots
    }
}
