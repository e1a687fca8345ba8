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

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shoal_model::swarm::{
    FailureAction, Service, Task, TaskOrigin, TaskState, UpdateConfig, UpdateOrder, UpdateState,
    UpdateStatus,
};
use shoal_model::{TaskId, Timestamp};

use super::slot::{Slot, SlotKey, runs};
use super::{dirty::is_dirty, new_task::new_task};
use crate::pass::{Cause, Work};
use crate::store::{Change, Store};

/// What the rest of the pass may do with the service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Go on.
    GoOn,
    /// The spec was rolled back: look again in the next pass.
    LookAgain,
}

/// How changes of the service are rolled out now.
pub(super) fn config(service: &Service) -> UpdateConfig {
    let config = match service.update_status.as_ref().map(|status| status.state) {
        Some(UpdateState::RollbackStarted | UpdateState::RollbackPaused) => &service.spec.rollback,
        _ => &service.spec.update,
    };
    config.clone().unwrap_or_default()
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
        .map(|(key, _)| key)
        .collect();
    let in_progress = matches!(state, Some(UpdateState::Updating | UpdateState::RollbackStarted));
    if stale.is_empty() && !in_progress {
        return After::GoOn;
    }
    if !in_progress {
        let started = status(UpdateState::Updating, "update in progress", work.now);
        set_status(work, service, started);
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

/// The tasks an update made that meet the present spec, by place.
struct Made(BTreeMap<SlotKey, Slot>);

impl Made {
    fn by_update(view: &Store, service: &Service) -> Self {
        let mut slots = super::slot::slots(view, service);
        for slot in slots.values_mut() {
            slot.retain(|task| {
                task.origin == TaskOrigin::Update
                    && (task.is_wanted() || task.ended_by_itself())
                    && !is_dirty(view, service, task)
            });
        }
        slots.retain(|_, slot| !slot.is_empty());
        Self(slots)
    }

    /// The first task whose failure is one too many, if so.
    fn failed_too_often(&self, service: &Service, stale: &[&SlotKey]) -> Option<TaskId> {
        let config = config(service);
        if config.failure_action == FailureAction::Continue {
            return None;
        }
        // Tasks of an earlier update to the same spec do not count.
        let current = |task: &&Arc<Task>| task.spec_version == service.spec_version;
        let mut failed: Vec<_> = self
            .0
            .values()
            .flatten()
            .filter(current)
            .filter(|task| failed_early(task, &config))
            .collect();
        failed.sort_by_key(|task| (ended_at(task), task.id.clone()));
        let newest = failed.last()?;
        let mut places: BTreeSet<&SlotKey> = stale.iter().copied().collect();
        places.extend(
            self.0.iter().filter(|(_, slot)| slot.iter().any(|t| current(&t))).map(|(key, _)| key),
        );
        let ratio = failed.len() as f32 / places.len().max(1) as f32;
        (ratio > config.max_failure_ratio).then(|| newest.id.clone())
    }

    /// Places that are being worked on or rest after it.
    fn busy(&self, work: &mut Work<'_>, config: &UpdateConfig) -> BTreeSet<SlotKey> {
        let mut busy = BTreeSet::new();
        for (key, slot) in &self.0 {
            let rests = |task: &Arc<Task>| reached_at(task).map(|time| time + config.delay);
            // Older ones are from an update to the same spec, long ago.
            let Some(newest) = slot.last() else { continue };
            match rests(newest) {
                None => {
                    busy.insert(key.clone());
                }
                Some(until) if until > work.now => {
                    work.wake_at(until);
                    busy.insert(key.clone());
                }
                Some(_) => {}
            }
        }
        busy
    }
}

/// When the task ran for the first time, or ended without ever running.
fn reached_at(task: &Task) -> Option<Timestamp> {
    task.started_at.or_else(|| task.status.state.is_terminal().then(|| ended_at(task)))
}

fn ended_at(task: &Task) -> Timestamp {
    task.status.applied_at.unwrap_or(task.status.timestamp)
}

/// Whether the task ended before it had run through the monitor period.
fn failed_early(task: &Task, config: &UpdateConfig) -> bool {
    task.ended_by_itself()
        && task.started_at.is_none_or(|start| ended_at(task).since(start) <= config.monitor())
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
    let monitor = config(service).monitor();
    let mut watched_until = Timestamp::default();
    for task in made.0.values().flatten() {
        match reached_at(task) {
            Some(time) => watched_until = watched_until.max(time + monitor),
            None => return,
        }
    }
    if watched_until > work.now {
        work.wake_at(watched_until);
        return;
    }
    let (state, message) = match is_rollback(service) {
        true => (UpdateState::RollbackCompleted, "rollback completed"),
        false => (UpdateState::Completed, "update completed"),
    };
    let done = UpdateStatus { completed_at: Some(work.now), ..status(state, message, work.now) };
    set_status(work, service, done);
}

/// Pauses, or returns to the spec before; a roll back is never rolled back.
fn give_up(work: &mut Work<'_>, service: &Service, failed: &TaskId) -> After {
    let why = format!("due to failure or early termination of task {failed}");
    let rolls_back = config(service).failure_action == FailureAction::Rollback
        && service.previous_spec.is_some();
    if is_rollback(service) {
        let message = format!("rollback paused {why}");
        set_status(work, service, status(UpdateState::RollbackPaused, &message, work.now));
        return After::GoOn;
    }
    if !rolls_back {
        let message = format!("update paused {why}");
        set_status(work, service, status(UpdateState::Paused, &message, work.now));
        return After::GoOn;
    }
    let message = format!("update rolled back {why}");
    let started = status(UpdateState::RollbackStarted, &message, work.now);
    let change = Change::RollBackService {
        service: service.id.clone(),
        spec_version: service.spec_version,
        status: begun_when(service, started),
    };
    work.plan(change, Cause::UpdateProgress);
    work.wake_at(work.now);
    After::LookAgain
}

fn is_rollback(service: &Service) -> bool {
    service
        .update_status
        .as_ref()
        .is_some_and(|status| status.state == UpdateState::RollbackStarted)
}

fn status(state: UpdateState, message: &str, now: Timestamp) -> UpdateStatus {
    UpdateStatus { state, started_at: now, completed_at: None, message: message.to_owned() }
}

fn begun_when(service: &Service, status: UpdateStatus) -> UpdateStatus {
    let begun = service.update_status.as_ref().map(|before| before.started_at);
    UpdateStatus { started_at: begun.unwrap_or(status.started_at), ..status }
}

fn set_status(work: &mut Work<'_>, service: &Service, status: UpdateStatus) {
    let in_progress = service.update_status.as_ref().is_some_and(|before| {
        matches!(before.state, UpdateState::Updating | UpdateState::RollbackStarted)
    });
    let status = if in_progress { begun_when(service, status) } else { status };
    let change = Change::SetUpdateStatus {
        service: service.id.clone(),
        spec_version: service.spec_version,
        status,
    };
    work.plan(change, Cause::UpdateProgress);
}
