//! How a build fails, in Docker's words.

use shoal_model::{Classify, Kind};

use crate::{context::ContextError, dockerfile::ParseError};

/// A build that failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// An instruction that this builder does not carry out yet.
    #[error("dockerfile line {line}: {what} is not supported by this builder yet")]
    Unsupported {
        /// The instruction's line.
        line: usize,
        /// What it is, by name: `RUN --mount=type=ssh`.
        what: String,
    },
    /// An instruction that cannot be carried out.
    #[error("dockerfile line {line}: {message}")]
    Instruction {
        /// The instruction's line.
        line: usize,
        /// Why.
        message: String,
    },
    /// A request that makes no sense: a missing target, an empty Dockerfile.
    #[error("{0}")]
    Request(String),
    /// A file of the request is missing or cannot be read.
    #[error("{0}")]
    NotFound(String),
    /// The context cannot be taken.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// `COPY` or `ADD` failed.
    #[error("{instruction} failed: {message}")]
    Copy {
        /// `COPY` or `ADD`.
        instruction: &'static str,
        /// Why.
        message: String,
    },
    /// A process ended with another code than 0.
    #[error("The command '{command}' returned a non-zero code: {code}")]
    Run {
        /// Program and arguments, joined by blanks.
        command: String,
        /// Its exit code.
        code: i64,
    },
    /// The worker could not do its part.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Nobody listens any more.
    #[error("build cancelled")]
    Cancelled,
}

impl BuildError {
    /// The exit code of the process that ended the build, if that was why.
    pub fn exit_code(&self) -> Option<i64> {
        match self {
            Self::Run { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl Classify for BuildError {
    fn kind(&self) -> Kind {
        match self {
            Self::Parse(_) | Self::Instruction { .. } | Self::Request(_) | Self::Copy { .. } => {
                Kind::Invalid
            }
            // Docker answers a missing Dockerfile with 400, too.
            Self::NotFound(_) => Kind::Invalid,
            Self::Unsupported { .. } => Kind::NotImplemented,
            Self::Context(error) => error.kind(),
            Self::Run { .. } | Self::Cancelled => Kind::Internal,
            Self::Worker(error) => error.kind(),
        }
    }
}

/// What a worker says when it cannot do its part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WorkerError {
    kind: Kind,
    message: String,
}

impl WorkerError {
    /// An error of a kind, with a message for users.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Another crate's error with all its causes.
    pub fn from_classified(error: &impl Classify) -> Self {
        Self { kind: error.kind(), message: error.chain() }
    }
}

impl Classify for WorkerError {
    fn kind(&self) -> Kind {
        self.kind
    }
}
