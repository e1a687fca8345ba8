//! Registries over HTTP: pull, push, login.

use shoal_model::{Classify, Digest, Kind, Platform};

/// How to say who we are to a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Not at all.
    #[default]
    Anonymous,
    /// User name and password, as `docker login` stores them.
    Basic {
        /// The name.
        username: String,
        /// The password or access token.
        password: String,
    },
    /// An OAuth2 refresh token (`identitytoken`).
    IdentityToken(String),
    /// A bearer token to be sent as it is (`registrytoken`).
    RegistryToken(String),
}

/// What a registry says about a reference, without pulling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteManifest {
    /// Digest of manifest or index.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub size: u64,
    /// What it is made for: one for a manifest, several for an index.
    pub platforms: Vec<Platform>,
}

/// A registry that refuses or cannot be reached. Docker's texts.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// `manifest for X not found: manifest unknown: manifest unknown` and kin.
    #[error("{0}")]
    NotFound(String),
}

impl Classify for RemoteError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
        }
    }
}
