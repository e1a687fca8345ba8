//! `swarm leave`: back to a node of its own.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use shoal_cluster::agent::Executor;

use super::state::{blocking, to_its_end};
use super::{Node, Place};
use crate::error::NodeError;

/// Containers removed at the same time.
const REMOVALS: usize = 16;

impl Node {
    /// Leaves the cluster: its tasks' containers are removed, its state forgotten.
    ///
    /// # Errors
    /// The node is in no cluster, or is its last manager and `force` is not given.
    pub async fn leave(self: &Arc<Self>, force: bool) -> Result<(), NodeError> {
        let node = Arc::clone(self);
        to_its_end(async move { node.leave_all(force).await }).await
    }

    async fn leave_all(&self, force: bool) -> Result<(), NodeError> {
        let _changing = self.changing.lock().await;
        let left = self.step_out(force)?;
        self.quit(left).await;
        self.engine.clear().await;
        let files = self.files();
        blocking(move || files.clear().and_then(|()| files.make_dirs())).await?;
        tracing::info!("left the cluster");
        Ok(())
    }

    /// From here on the node is in no cluster.
    fn step_out(&self, force: bool) -> Result<Place, NodeError> {
        let mut place = self.place();
        match &*place {
            Place::Inactive => Err(NodeError::NothingToLeave),
            Place::Member(member) if member.manager.is_some() && !force => {
                Err(NodeError::LastManager)
            }
            Place::Joining(_) | Place::Member(_) | Place::Broken(_) => {
                Ok(std::mem::take(&mut *place))
            }
        }
    }
}

/// Removes every task's container.
pub(super) async fn clear<E: Executor>(executor: Arc<E>) {
    let known = match executor.known_tasks().await {
        Ok(known) => known,
        Err(error) => {
            tracing::info!(%error, "cannot look for the containers of tasks");
            return;
        }
    };
    stream::iter(known)
        .for_each_concurrent(REMOVALS, |task| {
            let executor = Arc::clone(&executor);
            async move {
                if let Err(error) = executor.remove(&task).await {
                    tracing::info!(%task, %error, "a task's container cannot be removed");
                }
            }
        })
        .await;
}
