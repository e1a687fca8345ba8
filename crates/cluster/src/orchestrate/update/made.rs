//! What an update has made so far, read from the tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shoal_model::swarm::{Availability, FailureAction, Service, Task, TaskOrigin, UpdateConfig};
use shoal_model::{TaskId, Timestamp};

use super::super::dirty::is_dirty;
use super::super::slot::{Slot, SlotKey, slots};
use super::super::wait;
use super::progress::config;
use crate::plan::Work;
use crate::store::Store;

/// The tasks an update made that meet the present spec, by place.
pub(super) struct Made(BTreeMap<SlotKey, Slot>);

impl Made {
    pub(super) fn by_update(view: &Store, service: &Service) -> Self {
        let mut slots = slots(view, service);
        for slot in slots.values_mut() {
            slot.retain(|task| {
                task.origin == TaskOrigin::Update
                    && (task.is_wanted() || task.ended_by_itself())
                    && !is_dirty(view, service, task)
                    && !waits_for_a_paused_node(view, task)
            });
        }
        slots.retain(|_, slot| !slot.is_empty());
        Self(slots)
    }

    /// The first task whose failure is one too many, if so.
    pub(super) fn failed_too_often(&self, service: &Service, stale: &[&SlotKey]) -> Option<TaskId> {
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
        failed.sort_by_key(|task| (task.status.seen_at(), task.id.clone()));
        let newest = failed.last()?;
        let mut places: BTreeSet<&SlotKey> = stale.iter().copied().collect();
        places.extend(
            self.0.iter().filter(|(_, slot)| slot.iter().any(|t| current(&t))).map(|(key, _)| key),
        );
        let ratio = failed.len() as f32 / places.len().max(1) as f32;
        (ratio > config.max_failure_ratio).then(|| newest.id.clone())
    }

    /// Places that are being worked on or rest after it.
    pub(super) fn busy(&self, work: &mut Work<'_>, config: &UpdateConfig) -> BTreeSet<SlotKey> {
        let mut busy = BTreeSet::new();
        for (key, slot) in &self.0 {
            let rests = |task: &Arc<Task>| reached_at(task).map(|time| time + config.delay);
            // Older ones are from an update to the same spec, long ago.
            let Some(newest) = slot.last() else { continue };
            match rests(newest) {
                None => {
                    busy.insert(key.clone());
                }
                Some(until) if wait::goes_on(until, config.delay, work.now) => {
                    work.wake_at(until);
                    busy.insert(key.clone());
                }
                Some(_) => {}
            }
        }
        busy
    }

    /// Until when the tasks still watched are to be watched, a time that is past if there are
    /// none; `None`: one has not run yet.
    pub(super) fn watched_until(&self, config: &UpdateConfig, now: Timestamp) -> Option<Timestamp> {
        let monitor = config.monitor();
        let mut until = Timestamp::default();
        for task in self.0.values().flatten() {
            let end = reached_at(task)? + monitor;
            if wait::goes_on(end, monitor, now) {
                until = until.max(end);
            }
        }
        Some(until)
    }
}

/// Whether the task waits for its node to take tasks again, which may be never: no update holds
/// a lane for it.
fn waits_for_a_paused_node(view: &Store, task: &Task) -> bool {
    let node = task.node_id.as_ref().and_then(|id| view.node(id));
    !task.is_placed() && node.is_some_and(|node| node.spec.availability == Availability::Pause)
}

/// When the task ran for the first time, or ended without ever running.
fn reached_at(task: &Task) -> Option<Timestamp> {
    task.started_at.or_else(|| task.status.state.is_terminal().then(|| task.status.seen_at()))
}

/// Whether the task ended before it had run through the monitor period.
fn failed_early(task: &Task, config: &UpdateConfig) -> bool {
    task.ended_by_itself()
        && task
            .started_at
            .is_none_or(|start| task.status.seen_at().since(start) <= config.monitor())
}
