//! Rolling updates: replaces the tasks of an older spec, a few at a time.
//!
//! ```text
//!            spec changes                       all clean, monitor over
//! (no status) ─────────▶ Updating ─────────────────────────────▶ Completed
//!                          │  │ failures: rollback
//!        failures: pause   │  └──────────▶ RollbackStarted ─────▶ RollbackCompleted
//!                          ▼                    │ failures
//!                        Paused                 ▼
//!                                         RollbackPaused
//! ```
//!
//! There is no running updater: what one has to know is read from the tasks
//! it made ([`TaskOrigin::Update`]) and the service's update status, so a new
//! leader goes on in the middle. A place is *busy* from the making of its new
//! task until that runs (or has failed) plus the delay; at most `parallelism`
//! places are busy.

mod made;
mod progress;

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::TaskId;
use shoal_model::swarm::{
    FailureAction, Service, Task, TaskOrigin, TaskState, UpdateOrder, UpdateState,
};

use made::Made;
pub(super) use progress::{config, in_progress, is_rollback};
use progress::{roll_back, set_status};

use super::slot::{Slot, SlotKey, runs};
use super::{dirty::is_dirty, new_task::new_task};
use crate::plan::{Cause, Work};
use crate::store::Store;

/// What the rest of the pass may do with the service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Go on.
    GoOn,
    /// The spec was rolled back: look again in the next pass.
    LookAgain,
}

/// Takes the update of a service one step further.
pub(super) fn run(
    work: &mut Work<'_>,
    service: &Service,
    filled: &BTreeMap<SlotKey, Slot>,
) -> After {
    let state = service.update_status.as_ref().map(|status| status.state);
    let view = work.view().clone();
    if matches!(state, Some(UpdateState::Paused | UpdateState::RollbackPaused)) {
        // Nothing new is begun; what was begun is brought to its end.
        for slot in filled.values() {
            if let Some(successor) = successor(&view, service, slot).filter(runs) {
                end_others(work, slot, &successor.id);
            }
        }
        return After::GoOn;
    }
    let stale: Vec<&SlotKey> = filled
        .iter()
        .filter(|(_, slot)| slot.len() > 1 || slot.iter().any(|t| is_dirty(&view, service, t)))
        .filter(|(key, slot)| may_go_on(&view, service, key, slot))
        .map(|(key, _)| key)
        .collect();
    let in_progress = in_progress(service);
    if stale.is_empty() && !in_progress {
        return After::GoOn;
    }
    if !in_progress {
        set_status(work, service, UpdateState::Updating, "update in progress");
    }
    let made = Made::by_update(&view, service);
    if let Some(failed) = made.failed_too_often(service, &stale) {
        return give_up(work, service, &failed);
    }
    advance(work, service, filled, &stale, &made);
    if stale.is_empty() {
        complete(work, service, &made);
    }
    After::GoOn
}

/// Whether the place can be worked on now. A node that takes no tasks (paused, or not heard of
/// since the leader changed) keeps the one it has until it does; only a new one that is there
/// already takes over.
fn may_go_on(view: &Store, service: &Service, key: &SlotKey, slot: &Slot) -> bool {
    let SlotKey::Node(id) = key else { return true };
    view.node(id).is_some_and(|node| node.takes_tasks())
        || successor(view, service, slot).is_some_and(|task| task.is_placed())
}

/// Works on as many stale places as may be worked on at a time; those that do
/// not run anyway come first.
fn advance(
    work: &mut Work<'_>,
    service: &Service,
    filled: &BTreeMap<SlotKey, Slot>,
    stale: &[&SlotKey],
    made: &Made,
) {
    let config = config(service);
    let lanes = match usize::try_from(config.parallelism) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(parallelism) => parallelism,
    };
    let mut busy = made.busy(work, &config);
    let mut ordered = stale.to_vec();
    ordered.sort_by_key(|key| (filled.get(*key).is_some_and(|slot| slot.iter().any(runs)), *key));
    for key in ordered {
        let Some(slot) = filled.get(key) else { continue };
        let may_begin = busy.contains(key) || busy.len() < lanes;
        match successor(work.view(), service, slot) {
            Some(successor) if runs(&successor) => end_others(work, slot, &successor.id),
            // Its turn to end the others comes when it runs.
            Some(_) if config.order == UpdateOrder::StartFirst => {}
            Some(successor) if may_begin => {
                busy.insert(key.clone());
                end_others(work, slot, &successor.id);
            }
            None if may_begin && !busy.contains(key) => {
                busy.insert(key.clone());
                replace(work, service, key, slot, config.order);
            }
            Some(_) | None => {}
        }
    }
}

/// The task of the place that meets the new spec, the most advanced first.
fn successor(view: &Store, service: &Service, slot: &Slot) -> Option<Arc<Task>> {
    slot.iter()
        .filter(|task| task.is_wanted() && !is_dirty(view, service, task))
        .max_by_key(|task| {
            (task.status.state == TaskState::Running, task.desired_state, task.status.state)
        })
        .cloned()
}

fn end_others(work: &mut Work<'_>, slot: &Slot, kept: &TaskId) {
    for task in slot.iter().filter(|task| task.id != *kept) {
        work.want(&task.id, TaskState::Shutdown, Cause::Replaced);
    }
}

/// Makes the new task; it waits at Ready until its turn comes.
fn replace(work: &mut Work<'_>, service: &Service, key: &SlotKey, slot: &Slot, order: UpdateOrder) {
    let task = new_task(work, service, key, TaskOrigin::Update, TaskState::Ready);
    work.create_task(task, Cause::SpecChanged);
    // Starting first, what runs goes on until the new one does; what does not
    // run is of no use any more.
    let kept = match order {
        UpdateOrder::StartFirst => slot.iter().find(|old| runs(old)),
        UpdateOrder::StopFirst => None,
    };
    for old in slot.iter().filter(|old| kept.is_none_or(|kept| kept.id != old.id)) {
        work.want(&old.id, TaskState::Shutdown, Cause::SpecChanged);
    }
}

/// All places are clean: done when the youngest task was watched long enough.
fn complete(work: &mut Work<'_>, service: &Service, made: &Made) {
    let Some(watched_until) = made.watched_until(&config(service), work.now) else { return };
    if watched_until > work.now {
        work.wake_at(watched_until);
        return;
    }
    let (state, message) = match is_rollback(service) {
        true => (UpdateState::RollbackCompleted, "rollback completed"),
        false => (UpdateState::Completed, "update completed"),
    };
    set_status(work, service, state, message);
}

/// Pauses, or returns to the spec before; a roll back is never rolled back.
fn give_up(work: &mut Work<'_>, service: &Service, failed: &TaskId) -> After {
    let why = format!("due to failure or early termination of task {failed}");
    let rolls_back = config(service).failure_action == FailureAction::Rollback
        && service.previous_spec.is_some();
    if is_rollback(service) {
        let message = format!("rollback paused {why}");
        set_status(work, service, UpdateState::RollbackPaused, &message);
        return After::GoOn;
    }
    if !rolls_back {
        let message = format!("update paused {why}");
        set_status(work, service, UpdateState::Paused, &message);
        return After::GoOn;
    }
    let message = format!("update rolled back {why}");
    roll_back(work, service, &message);
    work.wake_at(work.now);
    After::LookAgain
}
