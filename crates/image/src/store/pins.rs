//! Named roots that outlive the daemon, one file each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shoal_model::{Digest, Timestamp};
use shoal_sys::tree;

use super::{Store, dirs::Dirs};
use crate::{Error, Result};

/// A named root that outlives the daemon: the layers and blobs it names stay
/// until it is unpinned (the build cache lives of these). It outlives the boot
/// once an image was recorded after it.
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
        let file = file_name(&pin.name);
        let mut writer = inner.writer();
        inner.dirs.write_unsynced(&inner.dirs.fresh_pins().join(&file), &bytes)?;
        if inner.state().pins.contains_key(&pin.name) && !writer.is_fresh(&file) {
            // What it named need not be there any more after this boot.
            fs::remove_file(inner.dirs.pins().join(&file))
                .map_err(Error::io(format!("replace pin {}", pin.name)))?;
        }
        writer.set_fresh(file, true);
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
        let mut writer = inner.writer();
        if inner.state().pins.contains_key(name) {
            let file = file_name(name);
            for directory in [inner.dirs.fresh_pins(), inner.dirs.pins()] {
                match fs::remove_file(directory.join(&file)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::io(format!("unpin {name}"))(error));
                    }
                    _ => {}
                }
            }
            writer.set_fresh(file, false);
            inner.state().pins.remove(name);
        }
        Ok(())
    }
}

/// Names are free text; file names are not.
fn file_name(name: &str) -> String {
    Digest::sha256(Sha256::digest(name).into()).hex().to_owned()
}

/// All pins, and the names of the files of those that are fresh. Fresh pins of
/// an earlier boot may name what was never written; they are removed.
pub(super) fn read_pins(dirs: &Dirs) -> Result<(BTreeMap<String, Pin>, BTreeSet<String>)> {
    let this_boot = dirs.fresh_pins();
    for item in fs::read_dir(dirs.fresh_pins_root()).map_err(Error::io("list pins"))? {
        let path = item.map_err(Error::io("list pins"))?.path();
        if path != this_boot
            && let Err(error) = tree::remove(&path)
        {
            tracing::warn!(path = %path.display(), %error, "pins of an earlier boot stay");
        }
    }
    let mut found = BTreeMap::new();
    read_pins_in(&dirs.pins(), &mut found)?;
    let fresh = read_pins_in(&this_boot, &mut found)?;
    Ok((found, fresh))
}

/// Reads the pins of one folder; the names of their files.
fn read_pins_in(directory: &Path, found: &mut BTreeMap<String, Pin>) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for item in fs::read_dir(directory).map_err(Error::io("list pins"))? {
        let item = item.map_err(Error::io("list pins"))?;
        if item.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = item.path();
        let read = fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| {
            serde_json::from_slice::<Pin>(&bytes).map_err(|error| error.to_string())
        });
        match read {
            Ok(pin) => {
                names.insert(file_name(&pin.name));
                found.insert(pin.name.clone(), pin);
            }
            Err(error) => tracing::warn!(path = %path.display(), error, "unreadable pin"),
        }
    }
    Ok(names)
}
