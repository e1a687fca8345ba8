//! Removes containers.

use std::sync::Arc;

use super::Containers;
use super::container::Container;
use super::state::{Happening, Refused};
use crate::domain::{MountKind, RemoveOptions};
use crate::error::ContainerError;
use crate::files::remove_tree;
use crate::node::blocking;
use shoal_model::Classify as _;

impl Containers {
    /// Removes a container and all it has.
    ///
    /// # Errors
    /// `Conflict` if it runs and `force` is not given, or if it is being removed already.
    pub async fn remove(&self, name: &str, options: RemoveOptions) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let containers = self.clone();
        let work = async move {
            if options.force {
                // Before the gate: a stop that waits for the program holds it.
                containers.kill_hard(&container).await?;
            }
            let _gate = container.gate.lock().await;
            if options.force {
                containers.kill_hard(&container).await?;
            }
            containers.remove_stopped(&container, options.volumes).await
        };
        self.node.tasks.finish(work).await
    }

    /// Removes a container that has ended, because it was to be removed then (`--rm`);
    /// its anonymous volumes go with it.
    pub(super) async fn remove_ended(&self, container: &Arc<Container>) {
        let _gate = container.gate.lock().await;
        if container.state.borrow().removed {
            return;
        }
        match self.remove_stopped(container, true).await {
            // Somebody started it again or removes it; both are fine.
            Ok(()) | Err(ContainerError::Conflict(_)) => {}
            Err(error) => {
                tracing::error!(container = %container.id, error = %error.chain(), "cannot remove a container");
            }
        }
    }

    /// Removes a container that does not run. Under its gate.
    pub(super) async fn remove_stopped(
        &self,
        container: &Arc<Container>,
        volumes: bool,
    ) -> Result<(), ContainerError> {
        let record = container.record();
        self.happen(container, Happening::Remove, |_| {})
            .map_err(|refused| remove_refused(&record.name, container, refused))?;
        // Waits until the last run is cleaned up.
        let _session = container.session.lock().await;
        drop(container.take_waiting_attaches());
        self.execs.forget_container(&container.id);
        let (node, id) = (self.node.clone(), container.id.clone());
        let removed = blocking(move || {
            node.paths.forget_record(&id)?;
            remove_tree(node.paths.bundle(&id).dir())?;
            remove_tree(&node.paths.dir(&id))
        })
        .await;
        if let Err(source) = removed {
            let what = format!("cannot remove container {}", record.name);
            let _ = self.happen(container, Happening::RemoveFailed, |state| {
                state.removal_error = Some(format!("{what}: {source}"));
            });
            return Err(ContainerError::Io { what, source });
        }
        self.table.remove(&container.id, &record.name);
        self.volumes.release_all(&container.id);
        if volumes {
            self.remove_anonymous_volumes(container).await;
        }
        self.publish(&record, "destroy", &[]);
        container.state.send_modify(|state| state.removed = true);
        Ok(())
    }

    async fn remove_anonymous_volumes(&self, container: &Container) {
        let record = container.record();
        for point in record.mounts.iter().filter(|point| point.anonymous) {
            let MountKind::Volume { name: Some(name), .. } = &point.mount.kind else { continue };
            if let Err(error) = self.volumes.remove(name, true).await {
                // Another container may use it by name: then it stays.
                tracing::info!(volume = %name, error = %error.chain(), "an anonymous volume stays");
            }
        }
    }
}

fn remove_refused(name: &str, container: &Container, refused: Refused) -> ContainerError {
    let status = container.state.borrow().phase.status();
    ContainerError::Conflict(match refused {
        Refused::Removing => {
            format!("removal of container {name} is already in progress")
        }
        Refused::Paused => format!(
            "cannot remove container \"/{name}\": container is paused and must be unpaused first"
        ),
        _ => format!(
            "cannot remove container \"/{name}\": container is {}: stop the container before removing or force remove",
            status.as_str()
        ),
    })
}
