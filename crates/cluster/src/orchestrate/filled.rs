//! Which places of a service are filled, and with what.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::Timestamp;
use shoal_model::swarm::{Service, Task, TaskState};

use super::{
    restart,
    slot::{Slot, SlotKey},
    update,
};

/// The places that are filled, each with the tasks that stand for it.
pub(super) fn filled(
    all: &BTreeMap<SlotKey, Slot>,
    service: &Service,
    now: Timestamp,
) -> BTreeMap<SlotKey, Slot> {
    all.iter()
        .map(|(key, slot)| (key.clone(), filling(slot, service, now)))
        .filter(|(_, tasks)| !tasks.is_empty())
        .collect()
}

/// The tasks that stand for a filled place: those wanted; else the newest, if
/// it ended and shall not be followed by another. Empty: the place is open.
fn filling(slot: &Slot, service: &Service, now: Timestamp) -> Slot {
    let wanted: Slot = slot.iter().filter(|task| task.is_wanted()).cloned().collect();
    if !wanted.is_empty() {
        return wanted;
    }
    // A roll back must reach a state that runs, whatever ended before it.
    let rolling_back = update::is_rollback(service);
    let stays_ended = |task: &&Arc<Task>| {
        !rolling_back
            && task.desired_state == TaskState::Shutdown
            && !restart::follows(task, slot, now)
    };
    slot.last().filter(stays_ended).cloned().into_iter().collect()
}
