//! Volumes: directories that outlive containers.
//!
//! | under `root/volumes/<name>/` | |
//! |---|---|
//! | `volume.json` | what it is; without it the directory is rubbish of a crash |
//! | `_data` | its content |
//! | `_filling`, `_filled` | while it is filled from an image: see [`copy_up`] |
//!
//! Who uses a volume is known by reference: containers hold the volumes they mount.
//! Nothing here knows what a container is.

mod copy_up;
mod create;
mod inspect;
mod prune;
mod remove;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_model::ContainerId;

use crate::domain::Volume;
use crate::events::{Event, Events, ObjectType};
use store::VolumeFiles;

/// What a volume's content is in.
const DATA: &str = "_data";

/// The volumes of a node. Cheap to clone; all clones are one set.
#[derive(Debug, Clone)]
pub struct Volumes {
    files: Arc<VolumeFiles>,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    events: Events,
}

/// A volume and who uses it.
#[derive(Debug, Clone)]
struct Known {
    volume: Volume,
    users: BTreeSet<ContainerId>,
    /// It is being made, filled or removed by whoever holds this.
    busy: Arc<tokio::sync::Mutex<()>>,
    /// It will be gone when that is done.
    leaving: bool,
}

impl Volumes {
    /// Opens the volumes below `root` and removes what a crash left half made. Blocks.
    pub(crate) fn open(root: &Path, events: Events) -> io::Result<Self> {
        let files = VolumeFiles::open(root)?;
        let known =
            files.read_all()?.into_iter().map(|volume| (volume.name.clone(), volume.into()));
        let known = Arc::new(Mutex::new(known.collect()));
        Ok(Volumes { files: Arc::new(files), known, events })
    }

    /// A container uses a volume: it cannot be removed.
    pub(crate) fn hold(&self, name: &str, user: &ContainerId) {
        if let Some(known) = self.lock().get_mut(name) {
            known.users.insert(user.clone());
        }
    }

    /// A container no longer uses a volume.
    pub(crate) fn release(&self, name: &str, user: &ContainerId) {
        if let Some(known) = self.lock().get_mut(name) {
            known.users.remove(user);
        }
    }

    /// A container no longer uses any volume.
    pub(crate) fn release_all(&self, user: &ContainerId) {
        for known in self.lock().values_mut() {
            known.users.remove(user);
        }
    }

    fn publish(&self, name: &str, action: &str) {
        self.events.publish(Event {
            time: crate::clock::now(),
            object: ObjectType::Volume,
            action: action.into(),
            id: name.into(),
            attributes: [("driver".to_owned(), "local".to_owned())].into(),
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Volume> for Known {
    fn from(volume: Volume) -> Self {
        Known { volume, users: BTreeSet::new(), busy: Arc::default(), leaving: false }
    }
}
