//! Trust in a cluster: the root certificate, join tokens, node certificates.
//!
//! Everything follows SwarmKit's rules, so that a Docker Engine accepts what is made here and
//! the other way round. Nothing in this folder opens a connection.

mod identity;
mod root;

use sha2::{Digest as _, Sha256};
use shoal_cluster::ca::JoinToken;
use shoal_model::{Classify, Kind};

pub use identity::{Identity, PeerName, PendingKey};
pub use root::{IssuerInfo, RootCa};

/// A key or certificate that cannot be made, read or trusted.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The library refused to make it.
    #[error("cannot make a {what}")]
    Make {
        /// As "node certificate".
        what: &'static str,
        /// The library's reason.
        source: rcgen::Error,
    },
    /// It cannot be parsed or does not follow the rules.
    #[error("{what} is not usable: {why}")]
    Malformed {
        /// As "root certificate".
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// This node does not hold the root's key.
    #[error("this node cannot sign certificates: it does not hold the root key")]
    NoKey,
    /// The system's random source failed.
    #[error("random source: {0}")]
    Random(String),
    /// rustls refused keys or certificates.
    #[error("tls settings")]
    Tls(#[from] rustls::Error),
}

impl PkiError {
    fn malformed(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }
}

impl Classify for PkiError {
    fn kind(&self) -> Kind {
        match self {
            Self::Malformed { .. } => Kind::Invalid,
            Self::NoKey => Kind::Unavailable,
            Self::Make { .. } | Self::Random(_) | Self::Tls(_) => Kind::Internal,
        }
    }
}

/// A new join token for a cluster whose root certificate is exactly these bytes.
pub fn join_token(root_pem: &[u8]) -> Result<JoinToken, PkiError> {
    Ok(JoinToken::new(digest(root_pem), random()?))
}

/// SHA-256 of a root certificate, as join tokens carry it.
pub fn digest(root_pem: &[u8]) -> [u8; 32] {
    Sha256::digest(root_pem).into()
}

/// `N` bytes from the system's random source.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], PkiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| PkiError::Random(error.to_string()))?;
    Ok(bytes)
}
