//! What a pass wants done, as data a person can read, and the pass at work on it.
//!
//! Must not know: who plans (that is [`crate::orchestrate`] and [`crate::schedule`]).

mod cause;
mod work;

use std::fmt::Write as _;

use shoal_model::swarm::Task;
use shoal_model::{SwarmNodeId, TaskId, Timestamp};

pub use cause::Cause;
pub(crate) use work::Work;

use crate::store::{Batch, Change, Store};

/// What a pass wants done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The steps, in their order. All changes are tolerant ones.
    pub steps: Vec<Step>,
    /// When the next pass is needed although nothing happened; `None`: never.
    pub next_deadline: Option<Timestamp>,
}

/// One change, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What to change.
    pub change: Change,
    /// Why.
    pub cause: Cause,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The changes as batches of a size the consensus log takes.
    pub fn into_batches(self, at: Timestamp) -> Vec<Batch> {
        Batch::split(at, self.steps.into_iter().map(|step| step.change).collect())
    }

    /// The plan in words, one line per step; `view` is what it was made from
    /// and gives names to ids.
    pub fn text(&self, view: &Store) -> String {
        let mut text = String::new();
        for Step { change, cause } in &self.steps {
            let line = describe(change, view);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}: {cause}");
        }
        text
    }
}

/// One change in words, ids replaced by names where `view` knows them.
pub(crate) fn describe(change: &Change, view: &Store) -> String {
    match change {
        Change::CreateTask(task) => {
            let mut line = format!("create {}", at_node(task, view));
            if task.desired_state != shoal_model::swarm::TaskState::Running {
                let _ = write!(line, ", {}", task.desired_state);
            }
            if !task.status.err.is_empty() {
                let _ = write!(line, ", {} ({})", task.status.state, task.status.err);
            }
            line
        }
        Change::AssignTask { task, node, .. } => {
            format!("assign {} to {}", task_name(task, view), node_name(node, view))
        }
        Change::SetDesiredState { task, state } => {
            format!("want {} {state}", task_name(task, view))
        }
        Change::SetTaskStatus { task, status } => {
            let mut line = format!("mark {} {}", task_name(task, view), status.state);
            if !status.err.is_empty() {
                let _ = write!(line, " ({})", status.err);
            }
            line
        }
        Change::RemoveTask(task) => format!("forget {}", task_name(task, view)),
        Change::SetUpdateStatus { service, status, .. } => {
            let name = service_name(service, view);
            format!("update of {name} is {}, {}", status.state.as_str(), status.message)
        }
        Change::RollBackService { service, status, .. } => {
            format!("roll back {}, {}", service_name(service, view), status.message)
        }
        Change::SetNodeStatus { node, status } => {
            format!("node {} is {}", node_name(node, view), status.state.as_str())
        }
        other => format!("{other:?}"),
    }
}

fn at_node(task: &Task, view: &Store) -> String {
    let service = &task.service_annotations.name;
    let node = task.node_id.as_ref().map(|node| node_name(node, view));
    match (task.slot, node) {
        (0, Some(node)) => format!("{service}@{node}"),
        (slot, Some(node)) => format!("{service}.{slot}@{node}"),
        (slot, None) => format!("{service}.{slot}"),
    }
}

fn task_name(id: &TaskId, view: &Store) -> String {
    view.task(id).map_or_else(|| id.to_string(), |task| at_node(task, view))
}

fn node_name(id: &SwarmNodeId, view: &Store) -> String {
    view.node(id).map_or_else(|| id.to_string(), |node| node.hostname().to_owned())
}

fn service_name(id: &shoal_model::ServiceId, view: &Store) -> String {
    view.service(id).map_or_else(|| id.to_string(), |service| service.spec.annotations.name.clone())
}
