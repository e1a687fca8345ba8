//! Freezes containers.

use std::sync::Arc;

use shoal_model::{Classify, Kind};
use shoal_runtime::protocol::Operation;

use super::container::Container;
use super::state::{Happening, Refused};
use super::{Containers, not_running};
use crate::error::ContainerError;
use crate::shim::{Connection, ShimError, is_late};

impl Containers {
    /// Freezes every process of a container.
    ///
    /// # Errors
    /// It does not run or is frozen already.
    pub async fn pause(&self, name: &str) -> Result<(), ContainerError> {
        self.freeze(name, Happening::Pause, Operation::Pause, "pause").await
    }

    /// Lets a frozen container go on.
    ///
    /// # Errors
    /// It is not frozen.
    pub async fn unpause(&self, name: &str) -> Result<(), ContainerError> {
        self.freeze(name, Happening::Unpause, Operation::Resume, "unpause").await
    }

    async fn freeze(
        &self,
        name: &str,
        happening: Happening,
        operation: Operation,
        event: &'static str,
    ) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            // Asked first, told afterwards: between the two it may still end.
            let phase = container.state.borrow().phase;
            phase.transition(happening).map_err(|refused| why(&container, refused))?;
            containers.ask(&container, operation).await?;
            if containers.happen(&container, happening, |_| {}).is_ok() {
                containers.save_state(&container).await;
                containers.publish(&container.record(), event, &[]);
            }
            Ok(())
        };
        self.node.tasks.finish(work).await
    }

    /// Asks a running container's shim one thing.
    pub(crate) async fn ask(
        &self,
        container: &Container,
        operation: Operation,
    ) -> Result<(), ContainerError> {
        let asked = Connection::ask(&self.node.paths.bundle(&container.id), operation).await;
        asked.map(drop).map_err(|error| shim_refused(container, error))
    }
}

/// A refusal that is not about starting a program, in the shim's own words.
fn shim_refused(container: &Container, error: ShimError) -> ContainerError {
    match error {
        error if is_late(&error) => ContainerError::shim(&container.id, error),
        ShimError::Io(_) => not_running(&container.id),
        ShimError::Failed(failure) => match failure.kind() {
            Kind::Conflict => ContainerError::Conflict(failure.message),
            Kind::Invalid => ContainerError::Invalid(failure.message),
            Kind::NotImplemented => ContainerError::Unsupported(failure.message),
            _ => ContainerError::Shim {
                container: container.id.to_string(),
                message: failure.message,
            },
        },
        other => ContainerError::shim(&container.id, other),
    }
}

fn why(container: &Arc<Container>, refused: Refused) -> ContainerError {
    let id = &container.id;
    match refused {
        Refused::Paused => ContainerError::Conflict(format!("container {id} is already paused")),
        Refused::NotPaused => ContainerError::Conflict(format!("container {id} is not paused")),
        Refused::Restarting => ContainerError::Conflict(format!(
            "container {id} is restarting, wait until the container is running"
        )),
        _ => not_running(id),
    }
}
