//! Services with one task on each node that fits.

use std::collections::BTreeMap;

use shoal_model::swarm::{NodeState, Service, Task, TaskOrigin, TaskState};

use super::slot::{Slot, SlotKey, slots};
use super::{filled::filled, new_task::new_task, promote, reap, restart, update};
use crate::{
    constraint,
    plan::{Cause, Work},
};

/// Brings a service towards one task per fitting node.
pub(crate) fn run(work: &mut Work<'_>, service: &Service) {
    for (key, slot) in &slots(work.view(), service) {
        restart::run(work, service, key, slot);
    }
    let all = slots(work.view(), service);
    let mut filled = filled(&all, service, work.now);
    retire(work, service, &mut filled);
    if update::run(work, service, &filled) == update::After::LookAgain {
        return;
    }
    fill(work, service, &filled, &all);

    for (key, slot) in &slots(work.view(), service) {
        promote::run(work, service, slot);
        match key {
            SlotKey::Node(id) if work.view().node(id).is_none() => reap::without_node(work, slot),
            _ => reap::run(work, service, slot),
        }
    }
}

/// Ends tasks on nodes that are no longer meant.
fn retire(work: &mut Work<'_>, service: &Service, filled: &mut BTreeMap<SlotKey, Slot>) {
    let view = work.view().clone();
    filled.retain(|key, slot| {
        let SlotKey::Node(id) = key else { return true };
        let cause = match view.node(id) {
            None => Cause::NodeGone,
            Some(node) if node.status.state == NodeState::Down => Cause::NodeDown,
            Some(node) if node.repels_tasks() => Cause::NodeDrained,
            Some(node) if !constraint::all_met(&service.spec.task, node) => {
                Cause::ConstraintsBroken
            }
            Some(_) => return true,
        };
        for task in slot {
            work.want(&task.id, TaskState::Shutdown, cause.clone());
        }
        false
    });
}

/// Makes a task on each fitting node that has none.
fn fill(
    work: &mut Work<'_>,
    service: &Service,
    filled: &BTreeMap<SlotKey, Slot>,
    all: &BTreeMap<SlotKey, Slot>,
) {
    let nodes: Vec<_> = work.view().nodes().cloned().collect();
    for node in nodes
        .iter()
        .filter(|node| node.takes_tasks() && constraint::all_met(&service.spec.task, node))
    {
        let key = SlotKey::Node(node.id.clone());
        if filled.contains_key(&key) {
            continue;
        }
        let slot: &[_] = all.get(&key).map_or(&[], Vec::as_slice);
        let busy =
            slot.iter().any(|task: &std::sync::Arc<Task>| promote::may_run(work.view(), task));
        let desired = if busy { TaskState::Ready } else { TaskState::Running };
        let task = new_task(work, service, &key, TaskOrigin::Fill, desired);
        work.create_task(task, Cause::NodeWithoutTask);
    }
}
