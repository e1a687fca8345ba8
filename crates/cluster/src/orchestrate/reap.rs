//! Forgets tasks: those removed and ended, and history beyond its limit.

use std::sync::Arc;

use shoal_model::swarm::{OrchestrationConfig, Service, Task, TaskOrigin, TaskState};

use super::{slot::Slot, update};
use crate::plan::{Cause, Work};

/// Forgets what one place of a living service no longer needs.
pub(super) fn run(work: &mut Work<'_>, service: &Service, slot: &Slot) {
    let (removed, kept): (Vec<_>, Vec<_>) =
        slot.iter().partition(|task| task.desired_state == TaskState::Remove);
    for task in removed.into_iter().filter(|task| has_ended(task)) {
        work.forget(&task.id, Cause::Removed);
    }
    let Some(limit) = history_limit(work, service) else { return };
    let mut surplus = kept.len().saturating_sub(limit);
    // The task that stands for its place though it ended is no history: without it the place
    // would be open, and filled again.
    let standing = match slot.iter().any(|task| task.is_wanted()) {
        true => None,
        false => slot.last().map(|task| &task.id),
    };
    // The oldest go first; what still runs, or may, is not history.
    for task in kept.into_iter().filter(|task| is_history(task)) {
        if surplus == 0 {
            break;
        }
        if standing != Some(&task.id) && !counts_in_update(service, task) {
            work.forget(&task.id, Cause::HistoryFull);
            surplus -= 1;
        }
    }
}

/// Forgets the ended tasks of a node that was removed: no other will take their place, so they
/// would never be history.
pub(super) fn without_node(work: &mut Work<'_>, slot: &Slot) {
    for task in slot.iter().filter(|task| has_ended(task)) {
        work.forget(&task.id, Cause::NodeGone);
    }
}

/// Ends the tasks of services that are gone, and forgets them once they have
/// ended.
pub(crate) fn without_service(work: &mut Work<'_>) {
    let view = work.view().clone();
    for id in view.services_with_tasks().filter(|id| view.service(id).is_none()) {
        for task in view.tasks_of_service(id) {
            if has_ended(task) {
                work.forget(&task.id, Cause::ServiceGone);
            } else {
                work.want(&task.id, TaskState::Remove, Cause::ServiceGone);
            }
        }
    }
}

/// Whether no container of the task can run any more: it ended, or no node
/// was ever told of it.
fn has_ended(task: &Arc<Task>) -> bool {
    task.status.state.is_terminal() || task.status.state < TaskState::Assigned
}

fn is_history(task: &Arc<Task>) -> bool {
    !task.is_wanted() && has_ended(task)
}

/// Tasks kept per place. A limit on restarts needs its tasks to be counted.
fn history_limit(work: &Work<'_>, service: &Service) -> Option<usize> {
    let default = OrchestrationConfig::default();
    let cluster = work.view().cluster();
    let config = cluster.map_or(&default, |cluster| &cluster.spec.orchestration);
    let attempts = service.spec.task.restart.as_ref().map_or(0, |policy| policy.max_attempts);
    if config.task_history_limit < 0 {
        return None;
    }
    let limit = match attempts {
        0 => config.task_history_limit.unsigned_abs(),
        attempts => attempts.saturating_add(1),
    };
    usize::try_from(limit).ok()
}

/// Whether the updater still counts this task's failure.
fn counts_in_update(service: &Service, task: &Task) -> bool {
    update::in_progress(service)
        && task.origin == TaskOrigin::Update
        && task.spec_version == service.spec_version
        && task.ended_by_itself()
}
