//! Starts containers.

use std::sync::Arc;

use super::Containers;
use super::container::Container;
use super::run::Starter;
use crate::error::ContainerError;
use shoal_model::Classify as _;

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
            let started = containers.begin_run(&container, Starter::Caller).await;
            if started.is_err() {
                containers.remove_unstarted(&container).await;
            }
            started
        };
        self.node.tasks.finish(work).await
    }

    /// Removes a container whose start has failed, if it was to go with its end (`--rm`):
    /// whoever waits for that must not wait for ever. Under its gate.
    async fn remove_unstarted(&self, container: &Arc<Container>) {
        let runs = container.state.borrow().phase.is_active();
        if runs || !container.record().host.auto_remove {
            return;
        }
        match self.remove_stopped(container, true).await {
            Ok(()) | Err(ContainerError::Conflict(_)) => {}
            Err(error) => {
                tracing::error!(container = %container.id, error = %error.chain(), "cannot remove a container");
            }
        }
    }
}
