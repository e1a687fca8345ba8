//! What a node is told by its operator, and the named defaults of every timer and limit.
//!
//! Nothing here reads a file or a clock: the binary fills a [`NodeConfig`] from its flags.

use std::path::PathBuf;
use std::time::Duration;

/// Where managers listen unless told otherwise: Docker's cluster port on all addresses.
pub const DEFAULT_LISTEN_ADDR: &str = "0.0.0.0:2377";

/// The port used when an address is given without one.
pub const DEFAULT_CLUSTER_PORT: u16 = 2377;

/// How long the dispatcher collects changes for one node before it sends them, measured from
/// the first change: small, so that a scale-out is quick; not zero, so that 450 tasks travel in
/// a few messages.
pub const DEFAULT_ASSIGNMENT_WINDOW: Duration = Duration::from_millis(10);

/// How long task statuses from all workers are collected into one proposal.
pub const DEFAULT_STATUS_WINDOW: Duration = Duration::from_millis(10);

/// How long the leader waits for more events before it looks at the cluster again.
pub const DEFAULT_PASS_DEBOUNCE: Duration = Duration::from_millis(5);

/// The slow full pass that repairs what events may have missed.
pub const DEFAULT_FULL_PASS_PERIOD: Duration = Duration::from_secs(30);

/// How many tasks the agent steps at the same time.
///
/// Starting a container is mostly kernel work under a few global locks: more than this only
/// queues there.
pub const DEFAULT_AGENT_PARALLELISM: usize = 16;

/// How many tasks the agent stops at the same time: stopping is mostly waiting for programs to
/// end, so this only bounds the engine's open calls.
pub const STOP_PARALLELISM: usize = 512;

/// How long the agent collects task statuses before it reports them.
pub const DEFAULT_REPORT_WINDOW: Duration = Duration::from_millis(10);

/// First pause before the agent tries a manager again; doubles up to [`DEFAULT_BACKOFF_MAX`].
pub const DEFAULT_BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Longest pause between two attempts to reach a manager.
pub const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(8);

/// A call to a manager that has not answered by then has failed.
pub const DEFAULT_RPC_TIMEOUT: Duration = Duration::from_secs(5);

/// How long `join` waits before it answers that it goes on in the background: Docker's 20 s.
pub const DEFAULT_JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Least time between two renewals of a node's certificate: a lifetime set absurdly short must
/// not keep nodes and managers busy.
pub const DEFAULT_RENEWAL_PAUSE: Duration = Duration::from_secs(60);

/// How long a TLS handshake may take on the cluster port.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many TLS handshakes may be in progress at once; further connections wait in the
/// kernel's backlog.
pub const MAX_HANDSHAKES: usize = 256;

/// How many connections the cluster port holds at once: a thousand workers use two or three
/// each, and an attacker must not use up the process's descriptors.
pub const MAX_CONNECTIONS: usize = 4096;

/// Largest message accepted from a peer. Docker's workers raise theirs to 2 GiB; 64 MiB is
/// above any assignment set or log batch that is seen in practice.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Every timer of a node; heartbeats and certificate lifetimes are the cluster's settings
/// ([`shoal_model::swarm::ClusterSpec`]). Tests shorten them; operators rarely touch them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Batching window of assignments.
    pub assignment_window: Duration,
    /// Batching window of status updates on the manager.
    pub status_window: Duration,
    /// Pause before a pass of the leader, so that one pass answers many events.
    pub pass_debounce: Duration,
    /// Time between two full passes of the leader.
    pub full_pass_period: Duration,
    /// Batching window of the agent's reports.
    pub report_window: Duration,
    /// Shortest pause between two attempts to reach a manager.
    pub backoff_min: Duration,
    /// Longest pause between two attempts to reach a manager.
    pub backoff_max: Duration,
    /// Time limit of one call.
    pub rpc_timeout: Duration,
    /// How long `join` waits for success.
    pub join_timeout: Duration,
    /// Least time between two renewals of the certificate, and before a failed one is repeated.
    pub renewal_pause: Duration,
    /// Time limit of a TLS handshake.
    pub handshake_timeout: Duration,
    /// Raft's own timers.
    pub raft: RaftTimers,
}

/// Timers of the consensus between managers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftTimers {
    /// Time between two heartbeats of the leader.
    pub heartbeat: Duration,
    /// Lower bound of the election timeout.
    pub election_min: Duration,
    /// Upper bound of the election timeout.
    pub election_max: Duration,
    /// Log entries between two snapshots.
    pub snapshot_every: u64,
    /// Log entries kept behind a snapshot for slow followers.
    pub keep_entries: u64,
}

impl Default for RaftTimers {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            election_min: Duration::from_secs(3),
            election_max: Duration::from_secs(5),
            snapshot_every: 5_000,
            keep_entries: 500,
        }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            assignment_window: DEFAULT_ASSIGNMENT_WINDOW,
            status_window: DEFAULT_STATUS_WINDOW,
            pass_debounce: DEFAULT_PASS_DEBOUNCE,
            full_pass_period: DEFAULT_FULL_PASS_PERIOD,
            report_window: DEFAULT_REPORT_WINDOW,
            backoff_min: DEFAULT_BACKOFF_MIN,
            backoff_max: DEFAULT_BACKOFF_MAX,
            rpc_timeout: DEFAULT_RPC_TIMEOUT,
            join_timeout: DEFAULT_JOIN_TIMEOUT,
            renewal_pause: DEFAULT_RENEWAL_PAUSE,
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            raft: RaftTimers::default(),
        }
    }
}

/// What a node needs to know before it is opened.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Directory of the cluster state, usually `/var/lib/shoal/swarm`. Created with mode 0700.
    pub root: PathBuf,
    /// Timers.
    pub timers: Timers,
    /// How many tasks the agent steps at the same time.
    pub agent_parallelism: usize,
}

impl NodeConfig {
    /// A configuration with every default and the given state directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            timers: Timers::default(),
            agent_parallelism: DEFAULT_AGENT_PARALLELISM,
        }
    }
}
