//! What can happen to the store, as data that goes through the consensus log.

use serde::{Deserialize, Serialize};
use shoal_model::swarm::{
    Certificate, Cluster, Config, ManagerStatus, Node, NodeDescription, NodeRole, NodeStatus,
    Secret, Service, Task, TaskState, TaskStatus, UpdateStatus, Version,
};
use shoal_model::{ConfigId, SecretId, ServiceId, SwarmNodeId, TaskId, Timestamp};

/// Changes per proposal at most: one proposal is one log entry, one write to
/// disk and one message to each follower (SwarmKit's limit per transaction).
/// The result of one command is never split.
pub const MAX_CHANGES_PER_BATCH: usize = 200;

/// Changes that are applied together or not at all, with the leader's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's time; becomes `created_at` and `updated_at`, so that all
    /// managers agree on them.
    pub at: Timestamp,
    /// The changes, in their order.
    pub changes: Vec<Change>,
}

impl Batch {
    /// One batch of these changes, however many.
    pub fn new(at: Timestamp, changes: Vec<Change>) -> Self {
        Self { at, changes }
    }

    /// Cuts changes that need not be applied together into batches of at most
    /// [`MAX_CHANGES_PER_BATCH`], in order.
    pub fn split(at: Timestamp, changes: Vec<Change>) -> Vec<Self> {
        let mut batches = Vec::with_capacity(changes.len().div_ceil(MAX_CHANGES_PER_BATCH));
        let mut rest = changes.into_iter();
        loop {
            let changes: Vec<_> = rest.by_ref().take(MAX_CHANGES_PER_BATCH).collect();
            if changes.is_empty() {
                return batches;
            }
            batches.push(Self { at, changes });
        }
    }
}

/// One change of the store.
///
/// There are two sorts. *Strict* changes come from a user's command; one that
/// cannot be applied (name taken, object gone, written from a stale version)
/// fails its whole batch. *Tolerant* changes come from the cluster itself
/// (passes, status reports); each has one field and one writer, and one that
/// came too late is skipped without harm, because the next pass looks again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Strict: the cluster is born.
    CreateCluster(Box<Cluster>),
    /// Strict: settings, tokens or root certificate; checks the version.
    UpdateCluster(Box<Cluster>),
    /// Strict: a node was let in.
    CreateNode(Box<Node>),
    /// Strict: the node's spec; checks the version. Observed fields of the
    /// given node are ignored.
    UpdateNode(Box<Node>),
    /// Strict.
    RemoveNode(SwarmNodeId),
    /// Strict.
    CreateService(Box<Service>),
    /// Strict: spec, versions, previous spec, update status; checks the
    /// version.
    UpdateService(Box<Service>),
    /// Strict.
    RemoveService(ServiceId),
    /// Strict.
    CreateSecret(Box<Secret>),
    /// Strict; checks the version.
    UpdateSecret(Box<Secret>),
    /// Strict.
    RemoveSecret(SecretId),
    /// Strict.
    CreateConfig(Box<Config>),
    /// Strict; checks the version.
    UpdateConfig(Box<Config>),
    /// Strict.
    RemoveConfig(ConfigId),

    /// Tolerant: skipped if its service is gone or the id is taken.
    CreateTask(Box<Task>),
    /// Tolerant: skipped if the task is gone, bound, or already ended.
    AssignTask {
        /// The task.
        task: TaskId,
        /// Its node.
        node: SwarmNodeId,
        /// Its status from now on.
        status: TaskStatus,
    },
    /// Tolerant: skipped unless it moves the desired state forward.
    SetDesiredState {
        /// The task.
        task: TaskId,
        /// Where it should go.
        state: TaskState,
    },
    /// Tolerant: skipped unless the observed state may become this one.
    SetTaskStatus {
        /// The task.
        task: TaskId,
        /// What was seen.
        status: TaskStatus,
    },
    /// Tolerant: skipped if it is gone.
    RemoveTask(TaskId),
    /// Tolerant: skipped if the service is gone or its spec has moved on.
    SetUpdateStatus {
        /// The service.
        service: ServiceId,
        /// The spec version the status is about.
        spec_version: Version,
        /// How far the update has come.
        status: UpdateStatus,
    },
    /// Tolerant: the service returns to its previous spec; skipped if the
    /// service is gone, its spec has moved on or there is no previous one.
    RollBackService {
        /// The service.
        service: ServiceId,
        /// The spec version that failed.
        spec_version: Version,
        /// The update status from now on.
        status: UpdateStatus,
    },
    /// Tolerant: skipped if the node is gone.
    SetNodeStatus {
        /// The node.
        node: SwarmNodeId,
        /// What the leader knows; `since` is kept if the state is the same.
        status: NodeStatus,
    },
    /// Tolerant: skipped if the node is gone.
    SetNodeDescription {
        /// The node.
        node: SwarmNodeId,
        /// What it says about itself.
        description: Box<NodeDescription>,
    },
    /// Tolerant: skipped if the node is gone.
    SetNodeCertificate {
        /// The node.
        node: SwarmNodeId,
        /// Its certificate, and how far the issue has come.
        certificate: Box<Certificate>,
        /// The role it has now.
        role: NodeRole,
    },
    /// Tolerant: skipped if the node is gone.
    SetManagerStatus {
        /// The node.
        node: SwarmNodeId,
        /// Its part in the consensus; `None`: no manager.
        status: Option<ManagerStatus>,
    },
}

impl Change {
    /// Whether this change fails its batch when it does not fit.
    pub fn is_strict(&self) -> bool {
        match self {
            Self::CreateCluster(_)
            | Self::UpdateCluster(_)
            | Self::CreateNode(_)
            | Self::UpdateNode(_)
            | Self::RemoveNode(_)
            | Self::CreateService(_)
            | Self::UpdateService(_)
            | Self::RemoveService(_)
            | Self::CreateSecret(_)
            | Self::UpdateSecret(_)
            | Self::RemoveSecret(_)
            | Self::CreateConfig(_)
            | Self::UpdateConfig(_)
            | Self::RemoveConfig(_) => true,
            Self::CreateTask(_)
            | Self::AssignTask { .. }
            | Self::SetDesiredState { .. }
            | Self::SetTaskStatus { .. }
            | Self::RemoveTask(_)
            | Self::SetUpdateStatus { .. }
            | Self::RollBackService { .. }
            | Self::SetNodeStatus { .. }
            | Self::SetNodeDescription { .. }
            | Self::SetNodeCertificate { .. }
            | Self::SetManagerStatus { .. } => false,
        }
    }
}
