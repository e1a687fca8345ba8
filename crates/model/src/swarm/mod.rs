//! The objects of a swarm: what the cluster stores, schedules and dispatches.
//!
//! Plain data in the domain's own form. Neither the wire form (gRPC between
//! manager and worker) nor the HTTP form lives here; both convert to and from
//! these types. An `Option` that is `None` means "the user did not say", so
//! that a spec can be shown as it was given; the effective value comes from a
//! method that names the default.

mod cluster;
mod common;
mod container;
mod endpoint;
mod mount;
mod network;
mod node;
mod placement;
mod resources;
mod restart;
mod secret;
mod service;
mod shared;
mod state;
mod task;
mod update;

pub use cluster::{
    CaConfig, Cluster, ClusterSpec, DEFAULT_CLUSTER_NAME, DispatcherConfig, EncryptionConfig,
    JoinTokens, OrchestrationConfig, RaftConfig, RootCa, TaskDefaults,
};
pub use common::{Annotations, Driver, Meta, Version};
pub use container::{
    AppArmorMode, ContainerSpec, CredentialSpec, DnsConfig, HealthConfig, Privileges,
    SELinuxContext, SeccompMode, Ulimit,
};
pub use endpoint::{
    Endpoint, EndpointMode, EndpointSpec, PortConfig, PortProtocol, PublishMode, VirtualIp,
};
pub use mount::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
pub use network::{NetworkAttachment, NetworkAttachmentSpec, PREDEFINED_NETWORKS};
pub use node::{
    Availability, Certificate, EngineDescription, IssuanceState, ManagerStatus, Membership, Node,
    NodeDescription, NodeRole, NodeSpec, NodeState, NodeStatus, Plugin, Reachability,
    TlsDescription,
};
pub use placement::{Placement, PlacementPreference};
pub use resources::{GenericResource, ResourceLimits, ResourceRequirements, Resources};
pub use restart::{RestartCondition, RestartPolicy};
pub use secret::{
    Config, ConfigRef, ConfigSpec, ConfigTarget, FileTarget, Secret, SecretRef, SecretSpec,
};
pub use service::{Service, ServiceMode, ServiceSpec, TaskSpec};
pub use shared::Shared;
pub use state::{TaskState, UnknownTaskState};
pub use task::{ContainerStatus, Task, TaskOrigin, TaskStatus};
pub use update::{FailureAction, UpdateConfig, UpdateOrder, UpdateState, UpdateStatus};
