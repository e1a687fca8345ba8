//! Turns the store's events into marks: which node must be told something new.

use std::sync::Arc;

use shoal_cluster::{Event, Object};
use shoal_model::swarm::{Node, Task, TaskState};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Lead;
use crate::raft::Events;

pub(super) async fn run(lead: Arc<Lead>, mut events: broadcast::Receiver<Events>) {
    loop {
        tokio::select! {
            () = lead.stop.cancelled() => return,
            received = events.recv() => match received {
                Ok(batch) => batch.iter().for_each(|event| route(&lead, event)),
                Err(RecvError::Lagged(_)) => {
                    // Too much happened at once to keep track: everybody looks again.
                    lead.streams.mark_all_nodes();
                    lead.streams.mark_all_tasks();
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}

fn route(lead: &Lead, event: &Event) {
    match event {
        Event::Created(Object::Task(task)) | Event::Removed(Object::Task(task)) => {
            if let Some(node) = &task.node_id {
                lead.streams.mark_tasks(node);
            }
            lead.broker.task_changed(task);
        }
        Event::Updated { old: Object::Task(old), new: Object::Task(new) } => {
            if matters_to_node(old, new)
                && let Some(node) = &new.node_id
            {
                lead.streams.mark_tasks(node);
            }
            if old.node_id != new.node_id {
                lead.broker.task_changed(new);
            }
        }
        Event::Updated { old: Object::Node(old), new: Object::Node(new) } => {
            if old.manager_status != new.manager_status {
                lead.streams.mark_all_nodes();
            } else if node_must_know(old, new) {
                lead.streams.mark_node(&new.id);
            }
        }
        Event::Removed(Object::Node(node)) => {
            let changes =
                lead.sessions().leave(&lead.consensus.local(), &node.id, lead.clock.steady());
            debug_assert!(changes.is_empty(), "a removed node has no state to change");
            lead.streams.close(&node.id);
        }
        Event::Created(Object::Cluster(_)) | Event::Updated { new: Object::Cluster(_), .. } => {
            lead.streams.mark_all_nodes();
        }
        Event::Updated { new: Object::Secret(_) | Object::Config(_), .. } => {
            lead.streams.mark_all_tasks();
        }
        // A new secret matters once a task uses it; a service matters through its tasks.
        Event::Created(_) | Event::Removed(_) | Event::Updated { .. } => {}
    }
}

/// Whether the assignments of the task's node can change: not by what the node itself reported,
/// except at the end of a task, which releases its secrets.
fn matters_to_node(old: &Task, new: &Task) -> bool {
    let assigned = |task: &Task| task.status.state >= TaskState::Assigned;
    let uses_files =
        !new.spec.container.secrets.is_empty() || !new.spec.container.configs.is_empty();
    old.desired_state != new.desired_state
        || old.node_id != new.node_id
        || assigned(old) != assigned(new)
        || (uses_files && old.status.state.is_terminal() != new.status.state.is_terminal())
}

/// Whether a node must hear about a change of its own object.
fn node_must_know(old: &Node, new: &Node) -> bool {
    old.spec != new.spec || old.role != new.role || old.certificate != new.certificate
}
