//! Registries over HTTP (OCI distribution-spec, Docker Registry HTTP API V2):
//! requests, authorisation, and Docker's words for what goes wrong.
//!
//! This module moves bytes. It does not know the store: digests are checked by
//! whoever keeps the bytes.

mod auth;
mod endpoint;
mod error;
mod session;
mod upload;

pub use auth::Auth;
pub(crate) use endpoint::Registries;
pub use error::RemoteError;
pub(crate) use session::{FetchedManifest, Session};
pub(crate) use upload::{Body, Upload};

use shoal_model::{Digest, Platform};

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
