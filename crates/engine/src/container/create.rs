//! Makes containers.

use super::Containers;
use crate::domain::{CreateContainer, Created};
use crate::error::ContainerError;

impl Containers {
    /// Makes a container from what the caller gives, what its image says and Docker's rules.
    ///
    /// # Errors
    /// A name that is taken, an image that is not here, an option that makes no sense or is not
    /// supported, a mount that cannot be used. Nothing is left then.
    pub async fn create(&self, request: CreateContainer) -> Result<Created, ContainerError> {
        let _ = request;
        todo!()
    }
}
