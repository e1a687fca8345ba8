//! The tasks of a service by the place they fill.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::swarm::{Service, ServiceMode, Task, TaskState};
use shoal_model::{SwarmNodeId, Timestamp};

use crate::store::Store;

/// A place that is to be filled by one task at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SlotKey {
    /// A number among the replicas.
    Replica(u64),
    /// A node of a global service.
    Node(SwarmNodeId),
}

/// All tasks of one place, the oldest first.
pub(super) type Slot = Vec<Arc<Task>>;

/// The tasks of a service by place.
pub(super) fn slots(view: &Store, service: &Service) -> BTreeMap<SlotKey, Slot> {
    let mut slots: BTreeMap<SlotKey, Slot> = BTreeMap::new();
    for task in view.tasks_of_service(&service.id) {
        let key = match (&service.spec.mode, &task.node_id) {
            (ServiceMode::Global | ServiceMode::GlobalJob, Some(node)) => {
                SlotKey::Node(node.clone())
            }
            _ => SlotKey::Replica(task.slot),
        };
        slots.entry(key).or_default().push(Arc::clone(task));
    }
    for slot in slots.values_mut() {
        slot.sort_by(|one, other| age(one).cmp(&age(other)));
    }
    slots
}

fn age(task: &Task) -> (Timestamp, u64, &shoal_model::TaskId) {
    // Tasks of one batch have the same times; later ones have higher spec
    // versions, and the id settles the rest the same way everywhere.
    (task.meta.created_at, task.spec_version.0, &task.id)
}

/// Whether the task is wanted and seen to run.
pub(super) fn runs(task: &Arc<Task>) -> bool {
    task.is_wanted() && task.status.state == TaskState::Running
}
