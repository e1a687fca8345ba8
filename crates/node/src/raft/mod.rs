//! Consensus between managers behind a seam of three methods.

use shoal_model::{Classify, Kind};

/// The consensus could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RaftError {
    /// Another manager leads, or none does.
    #[error("this manager is not the leader")]
    NotLeader,
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
            Self::Storage(_) => Kind::Internal,
        }
    }
}
