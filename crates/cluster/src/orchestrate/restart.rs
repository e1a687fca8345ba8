//! What follows when a task ends, or its node no longer suits it.
//!
//! The attempts made are counted from the stored tasks of the place (the
//! history keeps enough of them), the delay runs in the new task's
//! `start_after`: a new leader goes on where the old one stopped.

use std::sync::Arc;

use shoal_model::Timestamp;
use shoal_model::swarm::{
    Availability, RestartCondition, RestartPolicy, Service, Task, TaskOrigin, TaskState,
};

use super::{
    dirty::is_dirty,
    new_task::new_task,
    slot::{Slot, SlotKey},
    update, wait,
};
use crate::{
    constraint,
    plan::{Cause, Work},
    store::Store,
};

/// Ends what ended or must leave its node, and makes what follows.
pub(super) fn run(work: &mut Work<'_>, service: &Service, key: &SlotKey, slot: &Slot) {
    for task in slot.iter().filter(|task| task.is_wanted()) {
        let Some(reason) = reason(work, service, task) else { continue };
        // It was refused while it waited for its turn (no such image, say): the one after it is
        // made when the delay is over, or a service that cannot run would be a loop without rest.
        if let (Reason::Ended, Some(time)) = (&reason, waits_until(task, work.now)) {
            work.wake_at(time);
            continue;
        }
        let follows = follows(task, slot, work.now) && !belongs_to_a_paused_node(work.view(), key);
        let cause = match (&reason, follows) {
            (Reason::Ended, true) => Cause::Restarted,
            (Reason::Ended, false) => Cause::Ended,
            (Reason::Moved(cause), _) => cause.clone(),
        };
        // In the middle of an update the place may have two: what follows
        // the older one is there already.
        let newest = slot.iter().rfind(|other| other.is_wanted());
        let is_newest = newest.is_some_and(|newest| newest.id == task.id);
        if follows && is_newest && stays_in_place(&reason, key) {
            // Made first: should only this much of the plan come through,
            // the delay is not lost.
            let next = successor(work, service, key, task, &reason);
            work.create_task(next, cause.clone());
        }
        work.want(&task.id, TaskState::Shutdown, cause);
    }
}

enum Reason {
    Ended,
    Moved(Cause),
}

/// Why the task cannot stay as it is, if so.
fn reason(work: &Work<'_>, service: &Service, task: &Task) -> Option<Reason> {
    // A task given up with its node is terminal, too, but did not end.
    if task.status.state.is_terminal() && task.status.state != TaskState::Orphaned {
        return Some(Reason::Ended);
    }
    let id = task.node_id.as_ref()?;
    let Some(node) = work.view().node(id) else { return Some(Reason::Moved(Cause::NodeGone)) };
    if task.status.state == TaskState::Orphaned {
        return Some(Reason::Moved(Cause::Orphaned));
    }
    if node.repels_tasks() {
        let down = node.status.state == shoal_model::swarm::NodeState::Down;
        return Some(Reason::Moved(if down { Cause::NodeDown } else { Cause::NodeDrained }));
    }
    // Tasks of an older spec are the updater's business.
    (!constraint::all_met(&task.spec, node) && !is_dirty(work.view(), service, task))
        .then_some(Reason::Moved(Cause::ConstraintsBroken))
}

/// What ended on a node of its own follows when the node takes tasks again: then its place is
/// open.
fn belongs_to_a_paused_node(view: &Store, key: &SlotKey) -> bool {
    let SlotKey::Node(id) = key else { return false };
    view.node(id).is_some_and(|node| node.spec.availability == Availability::Pause)
}

/// A task of a global service never moves: it belongs to its node.
fn stays_in_place(reason: &Reason, key: &SlotKey) -> bool {
    matches!((reason, key), (Reason::Ended, _) | (_, SlotKey::Replica(_)))
}

fn successor(
    work: &mut Work<'_>,
    service: &Service,
    key: &SlotKey,
    ended: &Arc<Task>,
    reason: &Reason,
) -> Task {
    let origin = match reason {
        Reason::Ended => TaskOrigin::Restart,
        // The update still has to see it run.
        Reason::Moved(_) if made_by_this_update(work.view(), service, ended) => TaskOrigin::Update,
        Reason::Moved(_) => TaskOrigin::Move,
    };
    let mut next = new_task(work, service, key, origin, TaskState::Ready);
    // The delay keeps a crashing program from eating a machine. A task that
    // only lost its place has done nothing wrong.
    let delay = policy(&next).delay();
    if matches!(reason, Reason::Ended) && !delay.is_zero() {
        next.start_after = Some(work.now + delay);
    }
    next
}

/// Whether the update that goes on now counts on the task.
fn made_by_this_update(view: &Store, service: &Service, task: &Task) -> bool {
    update::in_progress(service)
        && task.origin == TaskOrigin::Update
        && !is_dirty(view, service, task)
}

/// Until when the task waits for the restart policy's delay, if it still does.
pub(super) fn waits_until(task: &Task, now: Timestamp) -> Option<Timestamp> {
    task.start_after.filter(|time| wait::goes_on(*time, policy(task).delay(), now))
}

/// Whether the restart policy wants another task after this one.
pub(super) fn follows(task: &Task, slot: &Slot, now: Timestamp) -> bool {
    let policy = policy(task);
    let succeeded = task.status.state == TaskState::Complete;
    let wanted = match policy.condition {
        RestartCondition::Any => true,
        RestartCondition::OnFailure => !succeeded,
        RestartCondition::None => false,
    };
    if !wanted || policy.max_attempts == 0 {
        return wanted;
    }
    let recent = |other: &Task| {
        policy
            .window()
            .is_none_or(|window| wait::goes_on(other.meta.created_at + window, window, now))
    };
    let attempts = slot
        .iter()
        .filter(|other| other.origin == TaskOrigin::Restart)
        .filter(|other| other.spec_version == task.spec_version)
        .filter(|other| recent(other))
        .count();
    (attempts as u64) < policy.max_attempts
}

fn policy(task: &Task) -> RestartPolicy {
    task.spec.restart.clone().unwrap_or_default()
}
