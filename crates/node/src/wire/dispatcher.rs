//! What a worker is told and what it tells: service `Dispatcher`; also the two small services
//! `ResourceAllocator` and `Health`.

use super::{
    Config, Duration, NetworkAttachmentConfig, Node, NodeDescription, Secret, Task, TaskStatus,
};

#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionRequest {
    #[prost(message, optional, tag = "1")]
    pub description: Option<NodeDescription>,
    #[prost(string, tag = "2")]
    pub session_id: String,
}

/// Always complete: a worker drops every manager that is not listed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionMessage {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub node: Option<Node>,
    #[prost(message, repeated, tag = "3")]
    pub managers: Vec<WeightedPeer>,
    #[prost(message, repeated, tag = "4")]
    pub network_bootstrap_keys: Vec<EncryptionKey>,
    #[prost(bytes = "vec", tag = "5")]
    pub root_ca: Vec<u8>,
}

/// `peer` must always be set: without it a Docker worker crashes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WeightedPeer {
    #[prost(message, optional, tag = "1")]
    pub peer: Option<Peer>,
    #[prost(int64, tag = "2")]
    pub weight: i64,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Peer {
    #[prost(string, tag = "1")]
    pub node_id: String,
    #[prost(string, tag = "2")]
    pub addr: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EncryptionKey {
    #[prost(string, tag = "1")]
    pub subsystem: String,
    #[prost(int32, tag = "2")]
    pub algorithm: i32,
    #[prost(bytes = "vec", tag = "3")]
    pub key: Vec<u8>,
    #[prost(uint64, tag = "4")]
    pub lamport_time: u64,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HeartbeatRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
}

/// `period` must always be set: a worker without it beats without pause.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct HeartbeatResponse {
    #[prost(message, optional, tag = "1")]
    pub period: Option<Duration>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateTaskStatusRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, repeated, tag = "3")]
    pub updates: Vec<TaskStatusUpdate>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskStatusUpdate {
    #[prost(string, tag = "1")]
    pub task_id: String,
    #[prost(message, optional, tag = "2")]
    pub status: Option<TaskStatus>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct UpdateTaskStatusResponse {}

/// Cluster volumes (CSI) are not part of this protocol's use here; the call is refused.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct UpdateVolumeStatusRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct UpdateVolumeStatusResponse {}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TasksRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TasksMessage {
    #[prost(message, repeated, tag = "1")]
    pub tasks: Vec<Task>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AssignmentsRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AssignmentsMessage {
    #[prost(enumeration = "AssignmentsType", tag = "1")]
    pub r#type: i32,
    /// The `results_in` of the message before; empty on a complete one.
    #[prost(string, tag = "2")]
    pub applies_to: String,
    #[prost(string, tag = "3")]
    pub results_in: String,
    #[prost(message, repeated, tag = "4")]
    pub changes: Vec<AssignmentChange>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AssignmentChange {
    #[prost(message, optional, tag = "1")]
    pub assignment: Option<Assignment>,
    #[prost(enumeration = "AssignmentAction", tag = "2")]
    pub action: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Assignment {
    #[prost(oneof = "assignment::Item", tags = "1, 2, 3, 4")]
    pub item: Option<assignment::Item>,
}

pub mod assignment {
    /// What is assigned.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Item {
        #[prost(message, tag = "1")]
        Task(Box<super::Task>),
        #[prost(message, tag = "2")]
        Secret(super::Secret),
        #[prost(message, tag = "3")]
        Config(super::Config),
        /// A cluster volume; only its presence is known here.
        #[prost(bytes, tag = "4")]
        Volume(Vec<u8>),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AttachNetworkRequest {
    #[prost(message, optional, tag = "1")]
    pub config: Option<NetworkAttachmentConfig>,
    #[prost(string, tag = "2")]
    pub container_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AttachNetworkResponse {
    #[prost(string, tag = "1")]
    pub attachment_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DetachNetworkRequest {
    #[prost(string, tag = "1")]
    pub attachment_id: String,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct DetachNetworkResponse {}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub service: String,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct HealthCheckResponse {
    #[prost(enumeration = "HealthStatus", tag = "1")]
    pub status: i32,
}

enumerations! {
    AssignmentsType { Complete = 0, Incremental = 1 }
    AssignmentAction {
        Update = 0,
        /// Carries only the id.
        Remove = 1,
    }
    HealthStatus { Unknown = 0, Serving = 1, NotServing = 2 }
}
