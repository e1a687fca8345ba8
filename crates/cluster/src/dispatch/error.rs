//! Why the leader refuses a worker's call.

use shoal_model::{Classify, Kind};

/// Why the leader refuses a worker's call. The names are the gRPC codes
/// SwarmKit's workers react to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// `NotFound`: no such node; the worker gives up.
    #[error("node {0} not found")]
    UnknownNode(String),
    /// `InvalidArgument`: the session is not this node's; it opens a new one.
    #[error("session invalid")]
    WrongSession,
    /// `Unavailable`: too many registrations; it tries again later.
    #[error("node {0} attempted registration too recently")]
    RegistersTooOften(String),
    /// `PermissionDenied`: a report about another node's task.
    #[error("cannot update a task of another node")]
    ForeignTask,
    /// `Aborted`: this manager does not lead; it looks for another.
    #[error("dispatcher is stopped")]
    NotLeader,
}

impl Classify for DispatchError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownNode(_) => Kind::NotFound,
            Self::WrongSession => Kind::Invalid,
            Self::RegistersTooOften(_) | Self::NotLeader => Kind::Unavailable,
            Self::ForeignTask => Kind::Forbidden,
        }
    }
}
