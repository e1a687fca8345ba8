//! Restarts containers.

use super::Containers;
use super::run::Starter;
use crate::domain::StopOptions;
use crate::error::ContainerError;

impl Containers {
    /// Stops a container if it runs, and starts it.
    ///
    /// # Errors
    /// As [`Containers::start`].
    pub async fn restart(&self, name: &str, options: StopOptions) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            if container.state.borrow().phase.is_active() {
                containers.end(&container, options).await?;
            }
            containers.begin_run(&container, Starter::Caller).await?;
            containers.publish(&container.record(), "restart", &[]);
            Ok(())
        };
        self.node.tasks.finish(work).await
    }
}
