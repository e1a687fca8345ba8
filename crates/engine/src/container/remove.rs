//! Removes containers.

use super::Containers;
use crate::domain::RemoveOptions;
use crate::error::ContainerError;

impl Containers {
    /// Removes a container and all it has.
    ///
    /// # Errors
    /// `Conflict` if it runs and `force` is not given, or if it is being removed already.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<(), ContainerError> {
        let _ = (name, options);
        todo!()
    }
}
