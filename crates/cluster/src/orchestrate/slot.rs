//! The tasks of a service by the place they fill.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::swarm::{Service, ServiceMode, Task, TaskState, UpdateState};
use shoal_model::{SwarmNodeId, Timestamp};

use super::restart;
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

/// The tasks that stand for a filled place: those wanted; else the newest, if
/// it ended and shall not be followed by another. Empty: the place is open.
pub(super) fn filling(slot: &Slot, service: &Service, now: Timestamp) -> Slot {
    let wanted: Slot = slot.iter().filter(|task| task.is_wanted()).cloned().collect();
    if !wanted.is_empty() {
        return wanted;
    }
    // A roll back must reach a state that runs, whatever ended before it.
    let rolling_back = service
        .update_status
        .as_ref()
        .is_some_and(|status| status.state == UpdateState::RollbackStarted);
    let stays_ended = |task: &&Arc<Task>| {
        !rolling_back
            && task.desired_state == TaskState::Shutdown
            && !restart::follows(task, slot, now)
    };
    slot.last().filter(stays_ended).cloned().into_iter().collect()
}

/// Whether the task is wanted and seen to run.
pub(super) fn runs(task: &Arc<Task>) -> bool {
    task.is_wanted() && task.status.state == TaskState::Running
}
