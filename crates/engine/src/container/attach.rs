//! Connects clients to containers' processes.

use super::Containers;
use crate::domain::{AttachOptions, TerminalSize};
use crate::error::ContainerError;
use crate::stream::Attached;

impl Containers {
    /// Connects to a container's process; before its first start, too.
    ///
    /// # Errors
    /// There is no container of that name, or it is paused.
    pub async fn attach(
        &self,
        name: &str,
        options: AttachOptions,
    ) -> Result<Attached, ContainerError> {
        let _ = (name, options);
        todo!()
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// It does not run.
    pub async fn resize(&self, name: &str, size: TerminalSize) -> Result<(), ContainerError> {
        let _ = (name, size);
        todo!()
    }
}
