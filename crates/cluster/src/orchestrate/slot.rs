//! The tasks of a service by the place they fill.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::swarm::{Service, ServiceMode, Task, TaskState, Version};
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

fn age(task: &Task) -> (Version, Timestamp, Version, &shoal_model::TaskId) {
    // By the store's history first, which no clock can turn round; tasks from before it was kept
    // have only their time. Tasks of one batch have the same of both; later ones have higher spec
    // versions, and the id settles the rest the same way everywhere.
    (task.created_in, task.meta.created_at, task.spec_version, &task.id)
}

/// Whether the task is wanted and seen to run.
pub(super) fn runs(task: &Arc<Task>) -> bool {
    task.is_wanted() && task.status.state == TaskState::Running
}
