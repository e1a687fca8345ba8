//! Volumes: directories that outlive containers.

use crate::domain::{CreateVolume, PruneFilter, Pruned, Volume, VolumeFilter};
use crate::error::VolumeError;

/// The volumes of a node. Cheap to clone; all clones are one set.
#[derive(Debug, Clone)]
pub struct Volumes {}

impl Volumes {
    /// Makes a volume; one that is there already and was asked for alike is returned.
    ///
    /// # Errors
    /// A driver or an option other than the local driver's, a bad name.
    pub async fn create(&self, request: CreateVolume) -> Result<Volume, VolumeError> {
        let _ = request;
        todo!()
    }

    /// The volumes a filter lets through, by name.
    pub fn list(&self, filter: &VolumeFilter) -> Vec<Volume> {
        let _ = filter;
        todo!()
    }

    /// One volume.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn inspect(&self, name: &str) -> Result<Volume, VolumeError> {
        let _ = name;
        todo!()
    }

    /// Removes a volume and its content; with `force` one that is not there is fine.
    ///
    /// # Errors
    /// Containers use it; there is none of that name.
    pub async fn remove(&self, name: &str, force: bool) -> Result<(), VolumeError> {
        let _ = (name, force);
        todo!()
    }

    /// Removes the volumes no container uses: anonymous ones, with `all` the named, too.
    ///
    /// # Errors
    /// None of its own; what cannot be removed is left and logged.
    pub async fn prune(&self, filter: &PruneFilter) -> Result<Pruned, VolumeError> {
        let _ = filter;
        todo!()
    }
}
