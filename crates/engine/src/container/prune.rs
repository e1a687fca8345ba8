//! Removes containers that do not run.

use super::Containers;
use super::inspect::{is_visible, tree_bytes};
use super::list::has_label;
use crate::domain::{PruneFilter, Pruned};
use crate::error::ContainerError;
use crate::node::blocking;
use shoal_model::Classify as _;

impl Containers {
    /// Removes every container that does not run and that the filter lets through.
    ///
    /// # Errors
    /// None of its own; a container that cannot be removed is left and logged.
    pub async fn prune(&self, filter: &PruneFilter) -> Result<Pruned, ContainerError> {
        let containers = self.clone();
        let filter = filter.clone();
        self.node.tasks.finish(async move { Ok(containers.prune_now(&filter).await) }).await
    }

    async fn prune_now(&self, filter: &PruneFilter) -> Pruned {
        let mut pruned = Pruned::default();
        for container in self.table.all() {
            let record = container.record();
            let labels = &record.config.labels;
            let wanted = is_visible(&container)
                && !container.state.borrow().phase.is_active()
                && filter.until.is_none_or(|until| record.created_at < until)
                && filter.label.iter().all(|label| has_label(labels, label))
                && !filter.label_not.iter().any(|label| has_label(labels, label));
            if !wanted {
                continue;
            }
            let upper = record.rootfs.upper.clone();
            let bytes = blocking(move || tree_bytes(&upper)).await.unwrap_or_default();
            let _gate = container.gate.lock().await;
            match self.remove_stopped(&container, false).await {
                Ok(()) => {
                    pruned.removed.push(container.id.to_string());
                    pruned.reclaimed_bytes += bytes;
                }
                // Started or removed by somebody meanwhile.
                Err(ContainerError::Conflict(_)) => {}
                Err(error) => {
                    tracing::error!(container = %container.id, error = %error.chain(), "cannot prune a container");
                }
            }
        }
        pruned
    }
}
