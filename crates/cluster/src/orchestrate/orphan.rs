//! Tasks nobody will hear of again.

use std::time::Duration;

use shoal_model::swarm::{NodeState, TaskState, TaskStatus};

use crate::plan::{Cause, Work};

/// How long a node may be down before its tasks are given up (SwarmKit's
/// value). Until then they still count as running there, so that nothing they
/// hold is given away twice.
const ORPHAN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Gives up tasks of nodes that were removed, or have been down for too long.
pub(crate) fn run(work: &mut Work<'_>) {
    let mut lost = Vec::new();
    let view = work.view().clone();
    for node in view.nodes().filter(|node| node.status.state == NodeState::Down) {
        let given_up = node.status.since + ORPHAN_AFTER;
        let mut open = view.tasks_of_node(&node.id).filter(|task| is_open(task.status.state));
        if given_up <= work.now {
            lost.extend(open.map(|task| task.id.clone()));
        } else if open.next().is_some() {
            work.wake_at(given_up);
        }
    }
    for node in view.nodes_with_tasks().filter(|id| view.node(id).is_none()) {
        let open = view.tasks_of_node(node).filter(|task| is_open(task.status.state));
        lost.extend(open.map(|task| task.id.clone()));
    }
    for id in lost {
        let status = TaskStatus::new(TaskState::Orphaned, "node is lost", work.now);
        work.observe(&id, status, Cause::Orphaned);
    }
}

fn is_open(state: TaskState) -> bool {
    !state.is_terminal()
}
