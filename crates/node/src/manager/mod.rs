//! What a manager does for the cluster: one file per duty.
//!
//! ```text
//! serve ─ gate ─┬─ ca           certificates for nodes
//!               ├─ dispatcher   sessions, assignments, reports ── streams
//!               ├─ log_door     logs of tasks to whoever asked ── log_broker
//!               └─ refusals     services that exist to be refused
//! leader        the loop that runs the core's pass
//! router        events of the store → what must be told to whom
//! liveness      nodes that fell silent
//! reports       many status updates → one proposal
//! ```
//!
//! The duties never call each other: they meet in the store. Must not know: containers, HTTP.

mod ca;
mod dispatcher;
mod gate;
mod leader;
mod liveness;
mod log_broker;
mod log_door;
mod refusals;
mod reports;
mod router;
mod serve;
mod status;
mod streams;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_cluster::dispatch::Sessions;
use shoal_cluster::{Batch, Rng};
use shoal_model::SwarmNodeId;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Timers;
use crate::error::NodeError;
use crate::raft::{Consensus, RaftConsensus};
use crate::tls::{Credentials, Listener};

pub(crate) use log_broker::LogBroker;
pub use log_broker::LogStream;

/// What the duties share.
pub(crate) struct Lead {
    pub(crate) consensus: RaftConsensus,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    pub(crate) node_id: SwarmNodeId,
    /// Host and port this manager is known by.
    pub(crate) advertise_addr: String,
    pub(crate) broker: LogBroker,
    streams: streams::Streams,
    sessions: Mutex<Sessions>,
    rng: Mutex<Rng>,
    reports: mpsc::Sender<reports::Report>,
    /// The earliest deadline of a session may have changed.
    deadlines: Notify,
    stop: CancellationToken,
}

impl Lead {
    /// A piece of the leader's chance.
    pub(crate) fn rng(&self) -> MutexGuard<'_, Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running manager.
pub(crate) struct Manager {
    pub(crate) lead: Arc<Lead>,
    tasks: TaskTracker,
    /// Where it listens, the port resolved.
    pub(crate) listen: SocketAddr,
}

/// What a manager is started with.
pub(crate) struct Start {
    pub(crate) consensus: RaftConsensus,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) timers: Timers,
    pub(crate) node_id: SwarmNodeId,
    pub(crate) advertise_addr: String,
    pub(crate) listener: TcpListener,
}

/// How long a stopping manager waits for its connections to end.
const STOP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

impl Manager {
    /// Takes up all duties. The consensus leads already.
    pub(crate) async fn start(start: Start) -> Result<Self, NodeError> {
        let Start { consensus, credentials, timers, node_id, advertise_addr, listener } = start;
        let listen = listener
            .local_addr()
            .map_err(|source| NodeError::Listen { addr: advertise_addr.clone(), source })?;
        let clock = Clock::start();
        let seed = u64::from_le_bytes(crate::pki::random()?);
        let view = consensus.local();
        let (sessions, changes) = Sessions::lead(&view, clock.steady());
        if !changes.is_empty() {
            consensus.propose(Batch::new(clock.now(), changes)).await?;
        }
        let (reports, queue) = mpsc::channel(reports::QUEUE);
        let stop = CancellationToken::new();
        let events = consensus.watch();
        let lead = Arc::new(Lead {
            broker: LogBroker::new(),
            consensus,
            credentials: Arc::clone(&credentials),
            clock,
            timers,
            node_id,
            advertise_addr,
            streams: streams::Streams::default(),
            sessions: Mutex::new(sessions),
            rng: Mutex::new(Rng::from_seed(seed)),
            reports,
            deadlines: Notify::new(),
            stop: stop.clone(),
        });
        let tasks = TaskTracker::new();
        let listener = Listener::new(listener, credentials, lead.timers.handshake_timeout);
        let (accepting, accepted) = listener.run(stop.clone());
        tasks.spawn(accepting);
        tasks.spawn(serve::run(Arc::clone(&lead), accepted));
        tasks.spawn(leader::run(Arc::clone(&lead)));
        tasks.spawn(router::run(Arc::clone(&lead), events));
        tasks.spawn(liveness::run(Arc::clone(&lead)));
        tasks.spawn(reports::run(Arc::clone(&lead), queue));
        tasks.close();
        Ok(Self { lead, tasks, listen })
    }

    /// Lays down all duties; nothing acknowledged is lost.
    pub(crate) async fn stop(&self) {
        self.lead.stop.cancel();
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::debug!("connections of the cluster port were still open when it stopped");
        }
        self.lead.consensus.stop().await;
    }
}
