//! Why the store refuses a batch.

use shoal_model::{Classify, Kind};

/// Why a batch was refused. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The object was written since the version the update was made from.
    /// Docker's text; clients look for it and try again.
    #[error("update out of sequence")]
    OutOfSequence,
    /// The object to update or remove is not there.
    #[error("{what} {id} not found")]
    NotFound {
        /// `node`, `service`, …
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// Another object of this sort has the name. Docker's text.
    #[error("name conflicts with an existing object: {what} {name} already exists")]
    NameTaken {
        /// `service`, `secret`, `config`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The id is taken.
    #[error("{what} {id} already exists")]
    AlreadyExists {
        /// `cluster`, `node`, `service`, …
        what: &'static str,
        /// Its id.
        id: String,
    },
}

impl Classify for ApplyError {
    fn kind(&self) -> Kind {
        match self {
            // Docker answers 500 ("rpc error: code = Unknown"); the front
            // door decides what to make of it.
            Self::OutOfSequence => Kind::Conflict,
            Self::NotFound { .. } => Kind::NotFound,
            Self::NameTaken { .. } | Self::AlreadyExists { .. } => Kind::Conflict,
        }
    }
}
