//! Named roots that outlive the daemon, one file each.

use std::{collections::BTreeMap, fs, sync::PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shoal_model::{Digest, Timestamp};

use super::{Store, dirs::Dirs};
use crate::{Error, Result};

/// A named root that outlives the daemon: the layers and blobs it names stay
/// until it is unpinned (the build cache lives of these).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// Free, unique; `/` groups them (`build/<cache key>`).
    pub name: String,
    /// Layers to keep.
    pub layers: Vec<Digest>,
    /// Blobs to keep.
    pub blobs: Vec<Digest>,
    /// Whatever the owner wants to remember.
    pub data: serde_json::Value,
    /// When it was pinned.
    pub created: Timestamp,
}

impl Store {
    /// Keeps content under a name; replaces a pin of the same name.
    ///
    /// # Errors
    /// When it cannot be written; [`crate::Error::NoSuchContent`].
    pub fn pin(&self, pin: &Pin) -> Result<()> {
        let inner = &self.inner;
        let lease = self.lease_layers(&pin.layers);
        for layer in &pin.layers {
            inner.layer_record(layer)?;
        }
        for blob in &pin.blobs {
            lease.hold_blob(blob);
            inner.open_blob(blob)?;
        }
        let bytes =
            serde_json::to_vec(pin).map_err(|error| Error::invalid(pin.name.clone(), error))?;
        let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        inner.dirs.write(&inner.dirs.pins().join(file_name(&pin.name)), &bytes)?;
        inner.state().pins.insert(pin.name.clone(), pin.clone());
        Ok(())
    }

    /// The pin of that name.
    pub fn pinned(&self, name: &str) -> Option<Pin> {
        self.inner.state().pins.get(name).cloned()
    }

    /// All pins whose name begins so.
    pub fn pins(&self, prefix: &str) -> Vec<Pin> {
        let state = self.inner.state();
        let from = state.pins.range(prefix.to_owned()..);
        from.take_while(|(name, _)| name.starts_with(prefix)).map(|(_, pin)| pin.clone()).collect()
    }

    /// Lets go. Nothing is collected yet: [`Store::collect_garbage`].
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn unpin(&self, name: &str) -> Result<()> {
        let inner = &self.inner;
        let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.state().pins.contains_key(name) {
            let path = inner.dirs.pins().join(file_name(name));
            fs::remove_file(path).map_err(Error::io(format!("unpin {name}")))?;
            inner.state().pins.remove(name);
        }
        Ok(())
    }
}

/// Names are free text; file names are not.
fn file_name(name: &str) -> String {
    Digest::sha256(Sha256::digest(name).into()).hex().to_owned()
}

pub(super) fn read_pins(dirs: &Dirs) -> Result<BTreeMap<String, Pin>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(dirs.pins()).map_err(Error::io("list pins"))? {
        let path = item.map_err(Error::io("list pins"))?.path();
        let bytes = fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?;
        match serde_json::from_slice::<Pin>(&bytes) {
            Ok(pin) => {
                found.insert(pin.name.clone(), pin);
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "unreadable pin"),
        }
    }
    Ok(found)
}
