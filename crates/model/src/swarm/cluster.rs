//! The cluster itself as an object: its settings, its root certificate and
//! its join tokens.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Annotations, Driver, Meta};
use crate::{ClusterId, Timestamp};

/// The name SwarmKit gives to the one cluster there is.
pub const DEFAULT_CLUSTER_NAME: &str = "default";

/// The cluster. Exactly one per store once it has been initialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its id; the organisation (O) of every node certificate.
    pub id: ClusterId,
    /// Kept by the store.
    pub meta: Meta,
    /// The settings.
    pub spec: ClusterSpec,
    /// The root certificate authority and the join tokens.
    pub root_ca: RootCa,
    /// Certificates no longer accepted although still valid: common name
    /// (the id of a removed node) and the time until which to remember it.
    pub blacklisted_certificates: BTreeMap<String, Timestamp>,
}

/// What the user may set about the cluster (`docker swarm update`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// Name and labels; the name is [`DEFAULT_CLUSTER_NAME`].
    pub annotations: Annotations,
    /// How tasks are kept.
    pub orchestration: OrchestrationConfig,
    /// The consensus log.
    pub raft: RaftConfig,
    /// The talk with the workers.
    pub dispatcher: DispatcherConfig,
    /// Certificates.
    pub ca: CaConfig,
    /// What tasks get when their spec is silent.
    pub task_defaults: TaskDefaults,
    /// Encryption of the managers' state on disk.
    pub encryption: EncryptionConfig,
}

/// How tasks are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrchestrationConfig {
    /// Finished tasks kept per slot; negative: all of them.
    pub task_history_limit: i64,
}

impl Default for OrchestrationConfig {
    fn default() -> Self {
        Self { task_history_limit: 5 }
    }
}

/// The consensus log (SwarmKit's defaults).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftConfig {
    /// Log entries between two snapshots.
    pub snapshot_interval: u64,
    /// Old snapshots kept besides the newest.
    pub keep_old_snapshots: u64,
    /// Entries kept behind the snapshot for followers that lag.
    pub log_entries_for_slow_followers: u64,
    /// Heartbeats of the leader, in ticks.
    pub heartbeat_tick: u32,
    /// Silence that starts an election, in ticks.
    pub election_tick: u32,
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self {
            snapshot_interval: 10_000,
            keep_old_snapshots: 0,
            log_entries_for_slow_followers: 500,
            heartbeat_tick: 1,
            election_tick: 10,
        }
    }
}

/// The talk with the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispatcherConfig {
    /// How often a worker shows it is alive.
    pub heartbeat_period: Duration,
}

impl Default for DispatcherConfig {
    fn default() -> Self {
        Self { heartbeat_period: Duration::from_secs(5) }
    }
}

/// Certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaConfig {
    /// How long a node certificate is valid.
    pub node_cert_expiry: Duration,
    /// Raised by the user to force a new root certificate.
    pub force_rotate: u64,
}

impl Default for CaConfig {
    fn default() -> Self {
        Self { node_cert_expiry: Duration::from_secs(90 * 24 * 3600), force_rotate: 0 }
    }
}

/// What tasks get when their spec is silent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskDefaults {
    /// The log driver.
    pub log_driver: Option<Driver>,
}

/// Encryption of the managers' state on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EncryptionConfig {
    /// Whether managers need an unlock key after a restart.
    pub auto_lock_managers: bool,
}

/// The root certificate authority.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCa {
    /// The certificate bundle, byte for byte as it is handed out: the join
    /// tokens carry its digest.
    pub certificate_pem: String,
    /// The private key; empty when an external authority signs.
    pub key_pem: String,
    /// `sha256:<hex>` of `certificate_pem`.
    pub certificate_digest: String,
    /// What a new node must show.
    pub join_tokens: JoinTokens,
    /// The last `force_rotate` that was acted on.
    pub last_forced_rotation: u64,
}

impl std::fmt::Debug for RootCa {
    /// Leaves out the key and the tokens: they must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootCa")
            .field("certificate_digest", &self.certificate_digest)
            .finish_non_exhaustive()
    }
}

/// What a new node must show, one text per role (`SWMTKN-1-…`).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JoinTokens {
    /// Joins as a worker.
    pub worker: String,
    /// Joins as a manager.
    pub manager: String,
}

impl std::fmt::Debug for JoinTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinTokens(..)")
    }
}
