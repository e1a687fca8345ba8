//! Starts what waits at Ready: when its delay is over and its place is free.

use shoal_model::swarm::{Node, NodeState, Service, Task, TaskState, UpdateOrder};

use super::{dirty::is_dirty, restart, slot::Slot, update};
use crate::{
    plan::{Cause, Work},
    store::Store,
};

/// Starts the tasks of the place whose turn has come.
pub(super) fn run(work: &mut Work<'_>, service: &Service, slot: &Slot) {
    for task in slot.iter().filter(|task| task.is_wanted()) {
        if task.desired_state >= TaskState::Running {
            continue;
        }
        if let Some(time) = restart::waits_until(task, work.now) {
            work.wake_at(time);
            continue;
        }
        if overlaps(work.view(), service, task, slot) || place_is_free(work.view(), task, slot) {
            work.want(&task.id, TaskState::Running, Cause::TurnCame);
        }
    }
}

/// Whether the task may run beside the one it replaces: in an update that
/// starts first, while that one is still wanted.
fn overlaps(view: &Store, service: &Service, task: &Task, slot: &Slot) -> bool {
    update::config(service).order == UpdateOrder::StartFirst
        && !is_dirty(view, service, task)
        && slot.iter().any(|other| other.id != task.id && other.is_wanted())
}

/// Whether no other task of the place may still have a running container.
pub(super) fn place_is_free(view: &Store, task: &Task, slot: &Slot) -> bool {
    slot.iter().all(|other| other.id == task.id || !may_run(view, other))
}

/// Whether the task may still have a running container that anybody can wait
/// for: nobody can, on a node that is down.
pub(super) fn may_run(view: &Store, task: &Task) -> bool {
    let Some(id) = &task.node_id else { return false };
    let lost = |node: &Node| node.status.state == NodeState::Down;
    let started = task.status.state >= TaskState::Assigned && !task.status.state.is_terminal();
    started && view.node(id).is_some_and(|node| !lost(node))
}
