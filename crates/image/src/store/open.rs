//! Opening the store, and putting right what a killed daemon left.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::Path,
    sync::{Arc, Mutex},
};

use rustix::fs::{FlockOperation, flock};

use super::{
    Inner, State, Store, StoreConfig,
    dirs::Dirs,
    index::Index,
    layers::{LayerLocks, read_layers},
    pins::read_pins,
    pull::Flights,
};
use crate::{Error, ImageConfig, Result, remote::Registries};

impl Store {
    /// Opens or makes the store in `root`, and removes what a killed
    /// predecessor left half done.
    ///
    /// # Errors
    /// [`crate::Error::Locked`] when another process has it open.
    pub fn open(root: &Path, config: StoreConfig) -> Result<Arc<Self>> {
        fs::create_dir_all(root).map_err(Error::io(format!("create {}", root.display())))?;
        let lock = lock(root)?;
        let dirs = Dirs::prepare(root)?;
        let layers = read_layers(&dirs)?;
        let mut index = Index::read(&dirs)?;
        let documents = read_documents(&dirs, &index);
        let before = index.images.len();
        index.images.retain(|id, _| {
            let whole = documents.get(id).is_some_and(|document| {
                document.rootfs.diff_ids.iter().all(|layer| layers.contains_key(layer))
            });
            if !whole {
                tracing::warn!(image = %id, "content of the image is missing; it is forgotten");
            }
            whole
        });
        if index.images.len() < before {
            let Index { images, tags, digests, .. } = &mut index;
            tags.retain(|_, id| images.contains_key(id));
            digests.retain(|_, id| images.contains_key(id));
            index.write(&dirs)?;
        }
        let pins = read_pins(&dirs)?;
        let state = State { index, documents, layers, pins, ..State::default() };
        Ok(Arc::new(Self {
            inner: Arc::new(Inner {
                dirs,
                state: Mutex::new(state),
                writer: Mutex::new(()),
                registries: Registries::new(&config),
                flights: Flights::default(),
                layer_locks: LayerLocks::default(),
                _lock: lock,
            }),
        }))
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::io(format!("open {}", path.display())))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Error::Locked(root.display().to_string()))?;
    Ok(file)
}

fn read_documents(dirs: &Dirs, index: &Index) -> HashMap<shoal_model::Digest, Arc<ImageConfig>> {
    let mut found = HashMap::new();
    for id in index.images.keys() {
        let document = fs::read(dirs.blob(id))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<ImageConfig>(&bytes).ok());
        if let Some(document) = document {
            found.insert(id.clone(), Arc::new(document));
        }
    }
    found
}
