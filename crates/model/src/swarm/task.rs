//! Tasks: one run of one container on one node.

use serde::{Deserialize, Serialize};

use super::{
    Annotations, Driver, Endpoint, Meta, NetworkAttachment, PortConfig, Shared, TaskSpec,
    TaskState, Version,
};
use crate::{ServiceId, SwarmNodeId, TaskId, Timestamp};

/// One run of one container on one node. Never reused: what replaces a task
/// is a new task in the same slot.
///
/// Writers: up to [`TaskState::Assigned`] the manager owns `status`, after it
/// the node's agent (by way of the dispatcher); `desired_state` is the
/// manager's always and only moves forward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Kept by the store.
    pub meta: Meta,
    /// What it runs, as the service's spec said when the task was made.
    pub spec: Shared<TaskSpec>,
    /// The service spec's version it was made from.
    pub spec_version: Version,
    /// The service it belongs to.
    pub service_id: ServiceId,
    /// Its place among the service's replicas, from 1; 0 in a global service.
    pub slot: u64,
    /// The node it is bound to.
    pub node_id: Option<SwarmNodeId>,
    /// The service's name and labels when the task was made.
    pub service_annotations: Annotations,
    /// What was last seen of it.
    pub status: TaskStatus,
    /// Where it should go.
    pub desired_state: TaskState,
    /// The networks it is attached to, with addresses once known.
    pub networks: Vec<NetworkAttachment>,
    /// Its published ports.
    pub endpoint: Option<Endpoint>,
    /// The log driver after the cluster's default was applied.
    pub log_driver: Option<Driver>,
    /// Why it was made.
    pub origin: TaskOrigin,
    /// While set and in the future, the task waits at
    /// [`TaskState::Ready`]: the restart policy's delay.
    pub start_after: Option<Timestamp>,
    /// When the leader first learned that it runs.
    pub started_at: Option<Timestamp>,
    /// The version of the store it was created in, written by the store: tells which of two
    /// tasks is older whatever became of the clock. Zero in what was stored before there was
    /// such a field.
    #[serde(default)]
    pub created_in: Version,
}

impl Task {
    /// The name people see: `web.3`, or `web.<node>` in a global service.
    pub fn short_name(&self) -> String {
        let service = &self.service_annotations.name;
        match (&self.node_id, self.slot) {
            (Some(node), 0) => format!("{service}.{node}"),
            (_, slot) => format!("{service}.{slot}"),
        }
    }

    /// The whole name, which the container bears: `web.3.<task id>`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.short_name(), self.id)
    }

    /// Whether the manager wants it to run, now or soon.
    pub fn is_wanted(&self) -> bool {
        self.desired_state <= TaskState::Running
    }

    /// Whether its node was chosen and told of it.
    pub fn is_placed(&self) -> bool {
        self.status.state >= TaskState::Assigned
    }

    /// Whether it may hold a container, ports or memory on its node.
    pub fn holds_resources(&self) -> bool {
        self.node_id.is_some() && self.status.state <= TaskState::Running
    }

    /// Whether it came to an end by itself (the manager did not ask for it).
    pub fn ended_by_itself(&self) -> bool {
        matches!(self.status.state, TaskState::Complete | TaskState::Failed | TaskState::Rejected)
    }
}

/// Why a task was made. Kept with the task so that a new leader can go on
/// counting restarts and update failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TaskOrigin {
    /// A slot had none.
    #[default]
    Fill,
    /// The one before ended and the restart policy said: again.
    Restart,
    /// Its node went away, was drained or no longer fits.
    Move,
    /// The service's spec changed.
    Update,
}

/// What was last seen of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// When it was seen, by the clock of who saw it.
    pub timestamp: Timestamp,
    /// How far it has come.
    pub state: TaskState,
    /// What it is doing, for people.
    pub message: String,
    /// What went wrong, for people; empty if nothing.
    pub err: String,
    /// The container, once there is one.
    pub container: Option<ContainerStatus>,
    /// Host ports that were bound.
    pub ports: Vec<PortConfig>,
    /// The node that reported it.
    pub applied_by: Option<SwarmNodeId>,
    /// When the leader took the report.
    pub applied_at: Option<Timestamp>,
}

impl TaskStatus {
    /// A status with nothing but a state and its message.
    pub fn new(state: TaskState, message: impl Into<String>, timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            state,
            message: message.into(),
            err: String::new(),
            container: None,
            ports: Vec::new(),
            applied_by: None,
            applied_at: None,
        }
    }

    /// When it was seen, by the leader's clock once the leader took the report: a node's own may
    /// be anywhere.
    pub fn seen_at(&self) -> Timestamp {
        self.applied_at.unwrap_or(self.timestamp)
    }
}

/// A task's container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// The id its engine gave it.
    pub container_id: String,
    /// Its first process, 0 if it does not run.
    pub pid: u32,
    /// Its exit status, meaningful once it ended.
    pub exit_code: i32,
}
