//! Changes containers' limits.

use super::Containers;
use crate::domain::{UpdateContainer, Updated};
use crate::error::ContainerError;

impl Containers {
    /// Changes limits and restart policy, of a running container, too.
    ///
    /// # Errors
    /// A limit that makes no sense or that the kernel refuses.
    pub async fn update(
        &self,
        name: &str,
        change: UpdateContainer,
    ) -> Result<Updated, ContainerError> {
        let _ = (name, change);
        todo!()
    }
}
