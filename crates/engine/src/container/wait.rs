//! Waits for containers.

use super::Containers;
use super::waiting::Waiting;
use crate::domain::WaitCondition;
use crate::error::ContainerError;

impl Containers {
    /// Begins to wait; the answer is in [`Waiting::done`], so that a caller can tell its client
    /// that the wait has begun.
    ///
    /// # Errors
    /// There is no container of that name.
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiting, ContainerError> {
        let _ = (name, condition);
        todo!()
    }
}
