//! The managers a worker knows, kept on disk so that a restart finds them again.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use shoal_cluster::Rng;
use shoal_model::Classify as _;

use crate::api::ManagerPeer;
use crate::error::NodeError;
use crate::files;

/// No cluster has more managers than this; guards against a message that says so.
const MAX_MANAGERS: usize = 64;

/// The managers a worker knows.
pub(crate) struct Managers {
    path: PathBuf,
    known: Mutex<Vec<ManagerPeer>>,
    /// Where this node's own manager listens, if it has one.
    local: Option<String>,
}

impl Managers {
    /// The managers of the file; none if there is no file. Blocking.
    pub(crate) fn open(path: PathBuf, local: Option<String>) -> Result<Self, NodeError> {
        let known = files::read_json(&path)?.unwrap_or_default();
        Ok(Self { path, known: Mutex::new(known), local })
    }

    /// All that are known.
    pub(crate) fn all(&self) -> Vec<ManagerPeer> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where to try next: the own manager, otherwise anyone.
    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<String> {
        if let Some(local) = &self.local {
            return Some(local.clone());
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let choice = usize::try_from(rng.below(known.len() as u64)).unwrap_or(0);
        known.get(choice).map(|peer| peer.addr.clone())
    }

    /// What a manager said about all of them. An empty list is not believed.
    pub(crate) async fn replace(&self, mut peers: Vec<ManagerPeer>) {
        peers.retain(|peer| !peer.addr.is_empty());
        peers.truncate(MAX_MANAGERS);
        if peers.is_empty() || peers == self.all() {
            return;
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = peers.clone();
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || files::write_json(&path, &peers)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(error = %error.chain(), "cannot keep the list of managers");
        }
    }
}
