//! Starts containers.

use super::Containers;
use crate::error::ContainerError;

impl Containers {
    /// Starts a container that does not run.
    ///
    /// # Errors
    /// `NotModified` if it runs; [`ContainerError::Runtime`] if its program cannot be run; a
    /// network, port or mount that cannot be had.
    pub async fn start(&self, name: &str) -> Result<(), ContainerError> {
        let _ = name;
        todo!()
    }
}
