//! Signals containers.

use shoal_model::Signal;

use super::Containers;
use crate::error::ContainerError;

impl Containers {
    /// Sends a signal to a container's program; `None` is SIGKILL.
    ///
    /// # Errors
    /// `Conflict` if it does not run.
    pub async fn kill(&self, name: &str, signal: Option<Signal>) -> Result<(), ContainerError> {
        let _ = (name, signal);
        todo!()
    }
}
