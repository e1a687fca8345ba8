//! Tells everything about containers.

use shoal_model::ContainerId;

use super::Containers;
use crate::domain::{ContainerView, DiskUse};
use crate::error::ContainerError;

impl Containers {
    /// The id of the container with this name, id or unambiguous begin of an id.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn resolve(&self, name: &str) -> Result<ContainerId, ContainerError> {
        let _ = name;
        todo!()
    }

    /// Everything about one container; from memory.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn inspect(&self, name: &str) -> Result<ContainerView, ContainerError> {
        let _ = name;
        todo!()
    }

    /// The disk space a container uses; walks its files.
    ///
    /// # Errors
    /// There is none of that name, or its files cannot be read.
    pub async fn disk_use(&self, name: &str) -> Result<DiskUse, ContainerError> {
        let _ = name;
        todo!()
    }
}
