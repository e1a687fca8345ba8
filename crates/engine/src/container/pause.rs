//! Freezes containers.

use super::Containers;
use crate::error::ContainerError;

impl Containers {
    /// Freezes every process of a container.
    ///
    /// # Errors
    /// It does not run or is frozen already.
    pub async fn pause(&self, name: &str) -> Result<(), ContainerError> {
        let _ = name;
        todo!()
    }

    /// Lets a frozen container go on.
    ///
    /// # Errors
    /// It is not frozen.
    pub async fn unpause(&self, name: &str) -> Result<(), ContainerError> {
        let _ = name;
        todo!()
    }
}
