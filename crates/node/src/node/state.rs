//! What a node keeps on disk about its membership.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shoal_model::SwarmNodeId;

use crate::agent::IdentityFiles;
use crate::error::NodeError;
use crate::files;

/// The node's membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) node_id: SwarmNodeId,
    /// Host and port the node is known by.
    pub(super) advertise_addr: String,
    /// Set on managers.
    pub(super) manager: Option<ManagerState>,
}

/// What a manager needs besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManagerState {
    pub(super) listen_addr: std::net::SocketAddr,
    /// The manager's number in the consensus group.
    pub(super) raft_id: u64,
}

/// Where everything is.
pub(super) struct Files {
    root: PathBuf,
    pub(super) state: PathBuf,
    pub(super) managers: PathBuf,
    pub(super) raft: PathBuf,
    pub(super) worker: PathBuf,
    pub(super) identity: IdentityFiles,
}

impl Files {
    pub(super) fn below(root: &Path) -> Self {
        Self {
            state: root.join("state.json"),
            managers: root.join("managers.json"),
            raft: root.join("raft"),
            worker: root.join("worker"),
            identity: IdentityFiles::below(root),
            root: root.to_owned(),
        }
    }

    /// Makes the directories. Blocking.
    pub(super) fn make_dirs(&self) -> Result<(), NodeError> {
        files::make_private_dir(&self.root)?;
        files::make_private_dir(&self.raft)?;
        files::make_private_dir(&self.worker)?;
        files::make_private_dir(&self.root.join("certificates"))
    }

    /// Forgets the membership; the state first, so that a crash in between leaves none.
    /// Blocking.
    pub(super) fn clear(&self) -> Result<(), NodeError> {
        files::remove(&self.state)?;
        files::remove(&self.managers)?;
        files::remove(&self.raft)?;
        files::remove(&self.worker)?;
        files::remove(&self.root.join("certificates"))
    }
}

/// Runs something that reads or writes files.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| NodeError::Stopping)?
}

/// Runs something to its end, also when whoever asked hangs up in the middle: what it changes
/// must not be left half done.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, NodeError>> + Send + 'static,
) -> Result<T, NodeError> {
    tokio::spawn(work).await.map_err(|_| NodeError::Stopping)?
}
