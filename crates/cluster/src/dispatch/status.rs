//! What workers report about their tasks.

use shoal_model::swarm::TaskStatus;
use shoal_model::{SwarmNodeId, TaskId, Timestamp};

use super::DispatchError;
use crate::store::{Change, Store};

/// What a node says about one of its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskReport {
    /// The task.
    pub task: TaskId,
    /// What was seen of it.
    pub status: TaskStatus,
}

/// The changes a node's reports make. Reports about unknown tasks, steps back
/// and repetitions make none: workers repeat everything when they reconnect.
///
/// # Errors
/// [`DispatchError::ForeignTask`]: one of the tasks is another node's; then no
/// report of the call is taken.
pub fn report_tasks(
    view: &Store,
    node: &SwarmNodeId,
    reports: Vec<TaskReport>,
    now: Timestamp,
) -> Result<Vec<Change>, DispatchError> {
    let mut changes = Vec::with_capacity(reports.len());
    for TaskReport { task: id, status } in reports {
        let Some(task) = view.task(&id) else { continue };
        if task.node_id.as_ref() != Some(node) {
            return Err(DispatchError::ForeignTask);
        }
        if !task.status.state.may_become(status.state) || says_the_same(&task.status, &status) {
            continue;
        }
        let status = TaskStatus { applied_by: Some(node.clone()), applied_at: Some(now), ..status };
        changes.push(Change::SetTaskStatus { task: id, status });
    }
    Ok(changes)
}

/// Whether a report adds nothing to what is known, the time apart.
fn says_the_same(known: &TaskStatus, reported: &TaskStatus) -> bool {
    known.state == reported.state
        && known.message == reported.message
        && known.err == reported.err
        && known.container == reported.container
        && known.ports == reported.ports
}
