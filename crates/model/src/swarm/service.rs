//! Services: what the user wants to run, and how many.

use serde::{Deserialize, Serialize};

use super::{
    Annotations, ContainerSpec, Driver, Endpoint, EndpointSpec, Meta, NetworkAttachmentSpec,
    Placement, ResourceRequirements, RestartPolicy, Shared, UpdateConfig, UpdateStatus, Version,
};
use crate::ServiceId;

/// A service.
///
/// Writers: `spec`, `spec_version`, `previous_*` the user's commands and the
/// updater's roll back; `update_status` the updater.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Kept by the store.
    pub meta: Meta,
    /// What the user wants now.
    pub spec: ServiceSpec,
    /// Grows with every change of `spec`; each task remembers the one it was
    /// made from.
    pub spec_version: Version,
    /// What the user wanted before; what a roll back returns to.
    pub previous_spec: Option<ServiceSpec>,
    /// The version of `previous_spec`.
    pub previous_spec_version: Option<Version>,
    /// Where the service can be reached.
    pub endpoint: Option<Endpoint>,
    /// How far the current rolling update has come.
    pub update_status: Option<UpdateStatus>,
}

/// What the user wants of a service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Name and labels.
    pub annotations: Annotations,
    /// What each of its tasks runs.
    pub task: Shared<TaskSpec>,
    /// How many tasks, and where.
    pub mode: ServiceMode,
    /// How changes are rolled out.
    pub update: Option<UpdateConfig>,
    /// How a roll back is rolled out.
    pub rollback: Option<UpdateConfig>,
    /// Published ports and name resolution.
    pub endpoint: Option<EndpointSpec>,
}

/// How many tasks, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceMode {
    /// So many tasks, anywhere.
    Replicated {
        /// How many.
        replicas: u64,
    },
    /// One task on each node that fits.
    Global,
    /// So many tasks that run to their end.
    ReplicatedJob {
        /// How many at a time; 0: all.
        max_concurrent: u64,
        /// How many in all.
        total_completions: u64,
    },
    /// One task on each node that fits, run to its end.
    GlobalJob,
}

impl Default for ServiceMode {
    fn default() -> Self {
        Self::Replicated { replicas: 1 }
    }
}

/// What one task runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The container.
    pub container: ContainerSpec,
    /// Limits and reservations.
    pub resources: Option<ResourceRequirements>,
    /// What happens when it ends.
    pub restart: Option<RestartPolicy>,
    /// Where it may run.
    pub placement: Option<Placement>,
    /// Where its output goes.
    pub log_driver: Option<Driver>,
    /// The networks it is attached to.
    pub networks: Vec<NetworkAttachmentSpec>,
    /// Raised to replace tasks although nothing else changed.
    pub force_update: u64,
}
