//! Stops containers.

use super::Containers;
use crate::domain::StopOptions;
use crate::error::ContainerError;

impl Containers {
    /// Asks a container's program to end, and kills it when its time is up.
    ///
    /// # Errors
    /// `NotModified` if it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<(), ContainerError> {
        let _ = (name, options);
        todo!()
    }
}
