//! What the leader tells a node to run, as messages.

use std::sync::Arc;

use shoal_model::swarm::{Config, Secret, Task};
use shoal_model::{ConfigId, SecretId, TaskId};

/// One message of an assignment stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignments {
    /// Everything, or what changed.
    pub kind: AssignmentKind,
    /// `results_in` of the message before; empty for a complete one.
    pub applies_to: String,
    /// Where the node is after this message.
    pub results_in: String,
    /// The changes. Secrets and configs come before the tasks that use them
    /// and go after them.
    pub changes: Vec<AssignmentChange>,
}

/// Everything, or what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignmentKind {
    /// What is not listed is no longer assigned.
    Complete,
    /// What is not listed stays as it is.
    Incremental,
}

/// One change of what a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum AssignmentChange {
    /// Take this, in place of what has the same id.
    Update(Assignable),
    /// Drop this.
    Remove(AssignableId),
}

/// Something a node can hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Assignable {
    /// A task to bring to its desired state.
    Task(Arc<Task>),
    /// A secret its tasks use.
    Secret(Arc<Secret>),
    /// A config its tasks use.
    Config(Arc<Config>),
}

/// Something a node may hold, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssignableId {
    /// A task.
    Task(TaskId),
    /// A secret.
    Secret(SecretId),
    /// A config.
    Config(ConfigId),
}
