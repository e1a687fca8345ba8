//! Where tasks run.
//!
//! Tasks of one spec are placed together: the nodes that suit the spec are
//! found once and kept in order, so that a placement costs a logarithm. The
//! order: few recent failures of the service, few of its tasks, few tasks in
//! all. Must not know: why a task exists.

mod candidate;
mod constraint;
mod filter;
mod group;
mod place;
mod spread;

pub(crate) use constraint::all_met_by;
pub use constraint::{Constraint, ConstraintError};

use shoal_model::swarm::{TaskState, TaskStatus};

use crate::orchestrate::PENDING_MESSAGE;
use crate::pass::{Cause, Work};

/// Finds a node for every wanted task that has none, or says why there is
/// none.
pub(crate) fn run(work: &mut Work<'_>) {
    let groups = group::pending(work.view());
    if groups.is_empty() {
        return;
    }
    let mut nodes = candidate::all(work.view());
    for group in groups {
        let failures = candidate::recent_failures(work.view(), &group, work.now);
        for placement in place::group(work.view(), &mut nodes, &group, &failures) {
            match placement {
                place::Placement::On(task, node) => {
                    let text = "scheduler assigned task to node";
                    let status = TaskStatus::new(TaskState::Assigned, text, work.now);
                    work.assign(&task, &node, status);
                }
                place::Placement::Nowhere(task, why) => say_why(work, &task, why),
            }
        }
    }
}

/// Leaves the task pending, with the reason shown in `service ps`.
fn say_why(work: &mut Work<'_>, task: &shoal_model::TaskId, why: String) {
    if work.view().task(task).is_some_and(|task| task.status.err == why) {
        return;
    }
    let status =
        TaskStatus { err: why, ..TaskStatus::new(TaskState::Pending, PENDING_MESSAGE, work.now) };
    work.observe(task, status, Cause::Unschedulable);
}

#[cfg(test)]
mod tests;
