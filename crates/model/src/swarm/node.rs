//! The machines of a swarm.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Annotations, Meta, Resources};
use crate::{Platform, SwarmNodeId, Timestamp};

/// A machine of the cluster.
///
/// Writers: `spec` the user; `description` and `status.addr` the node's
/// session; `status.state` the dispatcher's leader; `certificate` and `role`
/// the certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id; the common name (CN) of its certificate.
    pub id: SwarmNodeId,
    /// Kept by the store.
    pub meta: Meta,
    /// What the user wants of it.
    pub spec: NodeSpec,
    /// What it said about itself when it last opened a session.
    pub description: Option<NodeDescription>,
    /// What the leader knows about it.
    pub status: NodeStatus,
    /// Its part in the consensus, if it is a manager.
    pub manager_status: Option<ManagerStatus>,
    /// Its certificate.
    pub certificate: Certificate,
    /// The role it has now (`spec.desired_role` is where it should go).
    pub role: NodeRole,
}

impl Node {
    /// The host name, or the id while the node has not described itself.
    pub fn hostname(&self) -> &str {
        match &self.description {
            Some(description) if !description.hostname.is_empty() => &description.hostname,
            _ => self.id.as_str(),
        }
    }

    /// Whether tasks must leave this node: it is down or being drained.
    pub fn repels_tasks(&self) -> bool {
        self.status.state == NodeState::Down || self.spec.availability == Availability::Drain
    }

    /// Whether new tasks may be placed here.
    pub fn takes_tasks(&self) -> bool {
        self.status.state == NodeState::Ready && self.spec.availability == Availability::Active
    }
}

/// What the user wants of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Name (usually empty) and labels.
    pub annotations: Annotations,
    /// The role the node should have.
    pub desired_role: NodeRole,
    /// Whether the node was let in.
    pub membership: Membership,
    /// Whether it takes and keeps tasks.
    pub availability: Availability,
}

/// Worker or manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NodeRole {
    /// Runs tasks.
    #[default]
    Worker,
    /// Also keeps the state of the cluster.
    Manager,
}

impl NodeRole {
    /// `worker` or `manager`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Manager => "manager",
        }
    }

    /// The organisational unit (OU) of the role's certificates.
    pub fn organisational_unit(self) -> &'static str {
        match self {
            Self::Worker => "swarm-worker",
            Self::Manager => "swarm-manager",
        }
    }
}

/// Whether a node was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Membership {
    /// Waits for the user's word.
    Pending,
    /// A member.
    #[default]
    Accepted,
}

/// Whether a node takes and keeps tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Availability {
    /// Takes new tasks.
    #[default]
    Active,
    /// Keeps its tasks, takes no new ones.
    Pause,
    /// Its tasks go elsewhere.
    Drain,
}

impl Availability {
    /// `active`, `pause` or `drain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}

/// What a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeDescription {
    /// The host name.
    pub hostname: String,
    /// Operating system and architecture, as the node names them.
    pub platform: Option<Platform>,
    /// What it has to give.
    pub resources: Resources,
    /// The engine that runs its tasks.
    pub engine: EngineDescription,
    /// The root certificate it trusts.
    pub tls: TlsDescription,
}

/// The engine of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EngineDescription {
    /// The engine's version.
    pub version: String,
    /// The engine's labels (not the node's).
    pub labels: BTreeMap<String, String>,
    /// Drivers it knows.
    pub plugins: Vec<Plugin>,
}

/// A driver a node knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Plugin {
    /// `Network`, `Volume`, `Log`, …
    pub kind: String,
    /// The driver's name.
    pub name: String,
}

/// The root certificate a node trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TlsDescription {
    /// The certificate bundle (PEM).
    pub trust_root: Vec<u8>,
    /// Subject of the node certificate's issuer (DER).
    pub issuer_subject: Vec<u8>,
    /// Public key of the node certificate's issuer (DER).
    pub issuer_public_key: Vec<u8>,
}

/// What the leader knows about a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Alive or not.
    pub state: NodeState,
    /// Why it is in this state, for people.
    pub message: String,
    /// The address its session came from, without port.
    pub addr: String,
    /// When `state` last changed.
    pub since: Timestamp,
}

/// Whether a node is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NodeState {
    /// Not heard of since the leader changed; its tasks are left alone.
    #[default]
    Unknown,
    /// Silent for too long; its tasks are replaced.
    Down,
    /// Has a session and sends heartbeats.
    Ready,
    /// Ended its session in an orderly way.
    Disconnected,
}

impl NodeState {
    /// `unknown`, `down`, `ready` or `disconnected`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
        }
    }
}

/// A manager's part in the consensus.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ManagerStatus {
    /// Its number in the consensus group.
    pub raft_id: u64,
    /// Where the other managers reach it, `host:port`.
    pub addr: String,
    /// Whether it leads.
    pub leader: bool,
    /// Whether the leader reaches it.
    pub reachability: Reachability,
}

/// Whether a manager is reached by the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Reachability {
    /// Not yet tried.
    #[default]
    Unknown,
    /// Not reached.
    Unreachable,
    /// Reached.
    Reachable,
}

impl Reachability {
    /// `unknown`, `unreachable` or `reachable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
            Self::Reachable => "reachable",
        }
    }
}

/// A node's certificate and how far its issue has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Certificate {
    /// The role it is for.
    pub role: NodeRole,
    /// The signing request, as the node sent it (PEM).
    pub csr_pem: Vec<u8>,
    /// How far its issue has come.
    pub state: IssuanceState,
    /// Why it failed, if it did.
    pub err: String,
    /// The certificate chain (PEM).
    pub certificate_pem: Vec<u8>,
    /// The common name: the node's id.
    pub common_name: String,
}

/// How far the issue of a certificate has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum IssuanceState {
    /// Never asked for.
    #[default]
    Unknown,
    /// Asked for again by a member.
    Renew,
    /// Asked for by a new node.
    Pending,
    /// Issued.
    Issued,
    /// Refused.
    Failed,
    /// The node shall ask for a new one (the root changed).
    Rotate,
}
