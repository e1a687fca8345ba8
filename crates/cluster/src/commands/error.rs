//! Why a command is refused. The texts are SwarmKit's: users and clients know
//! them.

use shoal_model::{Classify, Kind};

use crate::store::ApplyError;

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The state refuses it; also when found only while applying.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The spec itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Understood, and not built.
    #[error("{0} not implemented")]
    NotImplemented(String),
    /// The spec is right, and the state of the object forbids it.
    #[error("{0}")]
    Precondition(String),
}

impl CommandError {
    /// The word SwarmKit's gRPC puts before the message (`rpc error: code =
    /// AlreadyExists desc = …`), which Docker hands on to its users.
    pub fn grpc_code(&self) -> &'static str {
        match self {
            Self::Apply(ApplyError::OutOfSequence) => "Unknown",
            Self::Apply(ApplyError::NotFound { .. }) => "NotFound",
            Self::Apply(_) => "AlreadyExists",
            Self::Invalid(_) => "InvalidArgument",
            Self::NotImplemented(_) => "Unimplemented",
            Self::Precondition(_) => "FailedPrecondition",
        }
    }

    /// The whole text as Docker shows it, gRPC's prefix included.
    pub fn docker_text(&self) -> String {
        format!("rpc error: code = {} desc = {self}", self.grpc_code())
    }

    pub(crate) fn not_found(what: &'static str, id: impl std::fmt::Display) -> Self {
        ApplyError::NotFound { what, id: id.to_string() }.into()
    }
}

impl Classify for CommandError {
    fn kind(&self) -> Kind {
        match self {
            Self::Apply(error) => error.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NotImplemented(_) => Kind::NotImplemented,
            // Docker answers a failed precondition with 400.
            Self::Precondition(_) => Kind::Invalid,
        }
    }
}
