//! Restarts containers.

use super::Containers;
use crate::domain::StopOptions;
use crate::error::ContainerError;

impl Containers {
    /// Stops a container if it runs, and starts it.
    ///
    /// # Errors
    /// As [`Containers::start`].
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<(), ContainerError> {
        let _ = (name, options);
        todo!()
    }
}
