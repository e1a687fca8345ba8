//! What a front door says to a node and hears from it: plain data.

use shoal_model::swarm::{Availability, Cluster, ClusterSpec};
use shoal_model::{ServiceId, SwarmNodeId, TaskId, Timestamp};

/// `docker swarm init`.
#[derive(Clone, Debug, Default)]
pub struct InitRequest {
    /// Where to listen; empty: [`crate::config::DEFAULT_LISTEN_ADDR`]. A port may be missing.
    pub listen_addr: String,
    /// What to tell the others; empty: found out. An address, an interface's name, with or
    /// without a port.
    pub advertise_addr: String,
    /// The cluster's settings.
    pub spec: ClusterSpec,
    /// Whether this node takes tasks.
    pub availability: Availability,
    /// Start again from a lost quorum's state.
    pub force_new_cluster: bool,
}

/// `docker swarm join`.
#[derive(Clone, Debug, Default)]
pub struct JoinRequest {
    /// Where to listen as a manager; empty: the default.
    pub listen_addr: String,
    /// What to tell the others; empty: found out.
    pub advertise_addr: String,
    /// Managers to try, `host[:port]`.
    pub remote_addrs: Vec<String>,
    /// The join token.
    pub token: String,
    /// Whether this node takes tasks.
    pub availability: Availability,
}

/// Where this node stands (`docker info`'s `Swarm.LocalNodeState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalNodeState {
    /// In no swarm.
    #[default]
    Inactive,
    /// Joining, or starting again.
    Pending,
    /// A working member.
    Active,
    /// A member with a problem; see the error's text.
    Error,
    /// Waits for its unlock key.
    Locked,
}

impl LocalNodeState {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Error => "error",
            Self::Locked => "locked",
        }
    }
}

/// A manager, as workers know it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ManagerPeer {
    /// Its node id; empty while only its address is known.
    pub node_id: String,
    /// `host:port`.
    pub addr: String,
}

/// What `docker info` shows about the swarm.
#[derive(Clone, Debug, Default)]
pub struct SwarmInfo {
    /// Where this node stands.
    pub state: LocalNodeState,
    /// Its id, once it has one.
    pub node_id: Option<SwarmNodeId>,
    /// The address it is known by, without a port.
    pub node_addr: String,
    /// Whether this node can answer cluster commands.
    pub control_available: bool,
    /// What is wrong, in words; empty if nothing.
    pub error: String,
    /// The managers it knows.
    pub remote_managers: Vec<ManagerPeer>,
    /// Number of managers; 0 unless `control_available`.
    pub managers: usize,
    /// Number of nodes; 0 unless `control_available`.
    pub nodes: usize,
    /// The cluster, on managers.
    pub cluster: Option<Cluster>,
}

/// Whose logs are wanted: everything that matches any of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSelector {
    /// All tasks of these services.
    pub services: Vec<ServiceId>,
    /// All tasks on these nodes.
    pub nodes: Vec<SwarmNodeId>,
    /// These tasks.
    pub tasks: Vec<TaskId>,
}

/// Which part of the logs is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Stay and send what comes.
    pub follow: bool,
    /// Only the last so many lines per task; `None`: all.
    pub tail: Option<u64>,
    /// Only lines since then.
    pub since: Option<Timestamp>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { stdout: true, stderr: true, follow: false, tail: None, since: None }
    }
}

/// Which stream a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a task's log, with its line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The service.
    pub service_id: Option<ServiceId>,
    /// The node it ran on.
    pub node_id: SwarmNodeId,
    /// The task.
    pub task_id: TaskId,
    /// When it was written, by the node's clock.
    pub timestamp: Option<Timestamp>,
    /// Which stream.
    pub source: LogSource,
    /// The bytes.
    pub data: bytes::Bytes,
    /// What the log driver knows besides (`--details`).
    pub attrs: Vec<(String, String)>,
}
