//! Removes containers that do not run.

use super::Containers;
use crate::domain::{PruneFilter, Pruned};
use crate::error::ContainerError;

impl Containers {
    /// Removes every container that does not run and that the filter lets through.
    ///
    /// # Errors
    /// None of its own; a container that cannot be removed is left and logged.
    pub async fn prune(&self, filter: &PruneFilter) -> Result<Pruned, ContainerError> {
        let _ = filter;
        todo!()
    }
}
