//! Consensus between managers behind a seam of three methods: [`Consensus`].
//!
//! openraft does the consensus, redb keeps its log, [`Replica`] is the store the log drives.
//! What an entry means is the business of [`shoal_cluster::Store::apply`] alone.

mod log_store;
mod network;
mod replica;
#[cfg(test)]
mod tests;
mod types;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError as OpenraftError};
use openraft::rt::WatchReceiver as _;
use openraft::{Config, Raft, ReadPolicy, SnapshotPolicy};
use shoal_cluster::{Batch, Store};
use shoal_model::{Classify, Kind};
use tokio::sync::{broadcast, watch};

pub use log_store::LogStore;
pub use replica::{Events, Replica, StateMachine};
pub use types::{Applied, Proposal, TypeConfig};

use crate::config::RaftTimers;

/// How long a starting manager may take to lead: an election over a slow disk, with room.
const LEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long opening the log waits for an earlier holder in this process to let go of it.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// The consensus could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RaftError {
    /// Another manager leads, or none does.
    #[error("this manager is not the leader")]
    NotLeader,
    /// The store refused the batch: the state has moved on since it was made.
    #[error("{0}")]
    Refused(String),
    /// It is stopping or has stopped after a fatal error.
    #[error("consensus has stopped: {0}")]
    Stopped(String),
    /// The store on disk.
    #[error("raft store: {0}")]
    Storage(String),
}

impl Classify for RaftError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotLeader | Self::Stopped(_) => Kind::Unavailable,
            Self::Refused(_) => Kind::Conflict,
            Self::Storage(_) => Kind::Internal,
        }
    }
}

/// What the leader's duties need of the consensus, and nothing more.
pub trait Consensus: Send + Sync + 'static {
    /// Has a batch applied on a majority of managers. When this returns it is durable here and
    /// visible in [`Consensus::view`].
    fn propose(&self, batch: Batch) -> impl Future<Output = Result<(), RaftError>> + Send;

    /// A snapshot of the store that contains everything acknowledged before the call.
    fn view(&self) -> impl Future<Output = Result<Store, RaftError>> + Send;

    /// The events of every batch applied from now on.
    fn watch(&self) -> broadcast::Receiver<Events>;
}

/// Consensus by openraft on a redb log.
pub struct RaftConsensus {
    raft: Raft<TypeConfig, StateMachine>,
    replica: Replica,
}

impl RaftConsensus {
    /// Opens the log in `dir` and starts; returns once this manager leads.
    ///
    /// # Errors
    /// The log cannot be opened, or no leader was elected in time.
    pub async fn start(dir: &Path, raft_id: u64, timers: &RaftTimers) -> Result<Self, RaftError> {
        let path = dir.join("raft.redb");
        let replica = Replica::new();
        let log = open_patiently(path).await?;
        let restored = {
            let (replica, log) = (replica.clone(), log.clone());
            tokio::task::spawn_blocking(move || StateMachine::restore(replica, log)).await
        };
        let machine = restored
            .map_err(|error| RaftError::Storage(error.to_string()))?
            .map_err(|error| RaftError::Storage(error.to_string()))?;
        let config = config(timers)?;
        let raft = Raft::new(raft_id, Arc::new(config), network::Roads, log, machine)
            .await
            .map_err(|error| RaftError::Stopped(error.to_string()))?;
        let consensus = Self { raft, replica };
        consensus.bootstrap(raft_id).await?;
        Ok(consensus)
    }

    /// Forms a group of one if there is none yet, and waits until it has a leader whose store
    /// is up to date.
    async fn bootstrap(&self, raft_id: u64) -> Result<(), RaftError> {
        let stopped = |error: &dyn std::fmt::Display| RaftError::Stopped(error.to_string());
        if !self.raft.is_initialized().await.map_err(|error| stopped(&error))? {
            let member = openraft::impls::BasicNode::default();
            self.raft
                .initialize(std::collections::BTreeMap::from([(raft_id, member)]))
                .await
                .map_err(|error| stopped(&error))?;
        }
        self.raft
            .wait(Some(LEAD_TIMEOUT))
            .current_leader(raft_id, "this manager leads")
            .await
            .map_err(|error| stopped(&error))?;
        self.view().await.map(drop)
    }

    /// The store as it is here, without asking anybody.
    pub fn local(&self) -> Store {
        self.replica.store()
    }

    /// The number of applied batches, as it grows.
    pub fn index(&self) -> watch::Receiver<u64> {
        self.replica.index()
    }

    /// What ended it for good, if something has: an error of its store, after which nothing is
    /// certain until the log is opened again.
    pub fn fault(&self) -> Option<String> {
        let metrics = self.raft.metrics();
        let state = &metrics.borrow_watched().running_state;
        state.as_ref().err().map(ToString::to_string)
    }

    /// Stops; nothing acknowledged is lost.
    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "consensus did not stop in order");
        }
    }
}

impl Consensus for RaftConsensus {
    async fn propose(&self, batch: Batch) -> Result<(), RaftError> {
        let written = self.raft.client_write(Proposal(Arc::new(batch))).await;
        match written {
            Ok(response) => match response.data {
                Applied::Nothing | Applied::Taken => Ok(()),
                Applied::Refused(why) => Err(RaftError::Refused(why)),
            },
            Err(OpenraftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Err(RaftError::NotLeader)
            }
            Err(error) => Err(RaftError::Stopped(error.to_string())),
        }
    }

    async fn view(&self) -> Result<Store, RaftError> {
        self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(
            |error| match error {
                OpenraftError::APIError(_) => RaftError::NotLeader,
                OpenraftError::Fatal(fatal) => RaftError::Stopped(fatal.to_string()),
            },
        )?;
        Ok(self.replica.store())
    }

    fn watch(&self) -> broadcast::Receiver<Events> {
        self.replica.events()
    }
}

fn config(timers: &RaftTimers) -> Result<Config, RaftError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "shoal".to_owned(),
        heartbeat_interval: millis(timers.heartbeat),
        election_timeout_min: millis(timers.election_min),
        election_timeout_max: millis(timers.election_max),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(timers.snapshot_every),
        max_in_snapshot_log_to_keep: timers.keep_entries,
        enable_pre_vote: Some(true),
        ..Config::default()
    };
    config.validate().map_err(|error| RaftError::Stopped(error.to_string()))
}

/// A stopping manager in this process closes its log a moment after it was told to.
async fn open_patiently(path: std::path::PathBuf) -> Result<LogStore, RaftError> {
    let deadline = tokio::time::Instant::now() + REOPEN_TIMEOUT;
    loop {
        let path = path.clone();
        let opened = tokio::task::spawn_blocking(move || LogStore::open(&path))
            .await
            .map_err(|error| RaftError::Storage(error.to_string()))?;
        match opened {
            Ok(log) => return Ok(log),
            Err(error) => {
                let held = error
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<redb::DatabaseError>())
                    .is_some_and(|inner| matches!(inner, redb::DatabaseError::DatabaseAlreadyOpen));
                if !held || tokio::time::Instant::now() >= deadline {
                    return Err(RaftError::Storage(error.to_string()));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
