//! Opening the store, and putting right what a killed daemon left.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use super::{
    Inner, State, Store, StoreConfig,
    dirs::Dirs,
    durable::Writer,
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
        // Layers hold files of every owner, setuid ones included, below
        // directories anybody may enter. Overlay's lower directories are opened
        // by root, so nobody else needs a way in.
        fs::set_permissions(root, fs::Permissions::from_mode(0o700))
            .map_err(Error::io(format!("set the mode of {}", root.display())))?;
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
        let (pins, fresh) = read_pins(&dirs)?;
        let state = State { index, documents, layers, pins, ..State::default() };
        Ok(Arc::new(Self {
            inner: Arc::new(Inner {
                dirs,
                state: Mutex::new(state),
                writer: Mutex::new(Writer::new(fresh)),
                stored: AtomicU64::new(0),
                registries: Registries::new(&config),
                flights: Flights::default(),
                layer_locks: LayerLocks::default(),
                lock,
            }),
        }))
    }
}

/// The lock of a store, and a file on its file system.
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a program that is just being started has a
        // copy of the descriptor until it is executed.
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "store not unlocked");
        }
    }
}

fn lock(root: &Path) -> Result<Lock> {
    let path = root.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::io(format!("open {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(root.display().to_string())),
        Err(TryLockError::Error(error)) => {
            Err(Error::io(format!("lock {}", path.display()))(error))
        }
    }
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
