//! The cluster's commands and views, on a manager.

use std::sync::Arc;

use shoal_cluster::{Batch, Command, Outcome, Store, decide};
use tokio::sync::watch;

use crate::api::{LogOptions, LogSelector};
use crate::error::NodeError;
use crate::manager::{Lead, LogStream};
use crate::raft::{Consensus, RaftError};

/// How often a command is decided anew because the state moved on while it was on its way.
const MAX_RACES: usize = 5;

/// The cluster's commands and views; cheap to clone, valid while this node manages.
#[derive(Clone)]
pub struct Control {
    lead: Arc<Lead>,
}

impl Control {
    pub(crate) fn new(lead: Arc<Lead>) -> Self {
        Self { lead }
    }

    /// A snapshot of the cluster that contains everything acknowledged before the call.
    ///
    /// # Errors
    /// This manager does not lead.
    pub async fn view(&self) -> Result<Store, NodeError> {
        self.lead.consensus.view().await.map_err(leaderless)
    }

    /// Reads from [`Control::view`].
    ///
    /// # Errors
    /// This manager does not lead.
    pub async fn read<T>(&self, read: impl FnOnce(&Store) -> T) -> Result<T, NodeError> {
        Ok(read(&self.view().await?))
    }

    /// Has a command carried out. When this returns, its effect is durable.
    ///
    /// # Errors
    /// The command is refused ([`NodeError::Command`], with Docker's words), or this manager
    /// does not lead.
    pub async fn execute(&self, command: Command) -> Result<Outcome, NodeError> {
        let mut races = 0;
        loop {
            let view = self.view().await?;
            let now = self.lead.clock.now();
            let decision = {
                let mut rng = self.lead.rng();
                decide(&view, command.clone(), now, &mut rng)?
            };
            drop(view);
            match self.lead.consensus.propose(Batch::new(now, decision.changes)).await {
                Ok(()) => return Ok(decision.outcome),
                // Deciding again finds the same obstacle, with the command's own words.
                Err(RaftError::Refused(_)) if races < MAX_RACES => races += 1,
                Err(error) => return Err(leaderless(error)),
            }
        }
    }

    /// The logs of tasks, wherever they run. The stream ends when all nodes have told all; with
    /// `follow` it ends with the tasks it names, or never.
    ///
    /// # Errors
    /// This manager does not lead, or too many logs are being read.
    pub async fn logs(
        &self,
        selector: LogSelector,
        options: LogOptions,
    ) -> Result<LogStream, NodeError> {
        let view = self.view().await?;
        self.lead.broker.subscribe(&view, selector, &options)
    }

    /// A new join token for this cluster, to be put in place with [`Command::UpdateCluster`].
    ///
    /// # Errors
    /// The system's random source failed.
    pub async fn new_join_token(&self) -> Result<String, NodeError> {
        let token = crate::pki::join_token(self.lead.credentials.current().root.pem())?;
        Ok(token.to_string())
    }

    /// Changes with everything that happens in the cluster.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.lead.consensus.index()
    }
}

fn leaderless(error: RaftError) -> NodeError {
    match error {
        RaftError::NotLeader => NodeError::NoLeader,
        other => NodeError::Raft(other),
    }
}
