//! Starts containers.

use super::Containers;
use super::run::Starter;
use crate::error::ContainerError;

impl Containers {
    /// Starts a container that does not run.
    ///
    /// # Errors
    /// `NotModified` if it runs; [`ContainerError::Runtime`] if its program cannot be run; a
    /// network, port or mount that cannot be had.
    pub async fn start(&self, name: &str) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            containers.begin_run(&container, Starter::Caller).await
        };
        self.node.tasks.finish(work).await
    }
}
