//! Where tasks run.
//!
//! Tasks of one spec are placed together: the nodes that suit the spec are
//! found once and kept in order, so that a placement costs a logarithm. The
//! order: few recent failures of the service, few of its tasks, few tasks in
//! all. Must not know: why a task exists.

mod candidate;
mod filter;
mod group;
mod place;
mod spread;

pub use crate::constraint::{Constraint, ConstraintError};

use shoal_model::TaskId;
use shoal_model::swarm::{TaskState, TaskStatus};

use crate::plan::{Cause, Work};

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
fn say_why(work: &mut Work<'_>, id: &TaskId, why: String) {
    let Some(task) = work.view().task(id).filter(|task| task.status.err != why) else { return };
    let message = task.status.message.clone();
    let status = TaskStatus { err: why, ..TaskStatus::new(TaskState::Pending, message, work.now) };
    work.observe(id, status, Cause::Unschedulable);
}

#[cfg(test)]
mod tests;
