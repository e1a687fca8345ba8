//! Measures containers.

use super::Containers;
use crate::domain::Stats;
use crate::error::ContainerError;

impl Containers {
    /// What a container uses now; all zero if it does not run.
    ///
    /// # Errors
    /// There is no container of that name.
    pub async fn stats(&self, name: &str) -> Result<Stats, ContainerError> {
        let _ = name;
        todo!()
    }
}
