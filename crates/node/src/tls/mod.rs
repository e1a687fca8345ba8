//! TLS between nodes: what each side shows, demands and verifies.
//!
//! A server shows its node certificate and verifies a client's if one is shown; the calls
//! decide who may do what (the manager's `gate`). A client goes through three stages:
//! fetch the root without trust, verify as `swarm-ca` without a certificate of its own, then
//! speak as itself to a `swarm-manager`.

mod accept;
mod connect;

use std::sync::{Arc, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig};

pub use accept::{Accepted, Listener, PeerInfo};
pub use connect::{Stage, channel};

use crate::pki::{Identity, PkiError, RootCa};

/// HTTP/2, which newer gRPC servers demand to be negotiated.
const ALPN: &[u8] = b"h2";

/// A node's identity and the root it trusts, exchanged while connections are open: each new
/// connection uses what is current.
pub struct Credentials {
    current: RwLock<Arc<Current>>,
}

/// What new connections use.
pub struct Current {
    /// Who this node is.
    pub identity: Identity,
    /// Whom it trusts.
    pub root: Arc<RootCa>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Credentials {
    /// Credentials of a node that has its certificate.
    pub fn new(identity: Identity, root: Arc<RootCa>) -> Result<Self, PkiError> {
        Ok(Self { current: RwLock::new(Arc::new(Current::new(identity, root)?)) })
    }

    /// What is current.
    pub fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Takes a renewed certificate or a rotated root into use.
    pub fn replace(&self, identity: Identity, root: Arc<RootCa>) -> Result<(), PkiError> {
        let next = Arc::new(Current::new(identity, root)?);
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = next;
        Ok(())
    }
}

impl Current {
    fn new(identity: Identity, root: Arc<RootCa>) -> Result<Self, PkiError> {
        let store = Arc::new(root.store()?);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&store), provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| PkiError::Malformed { what: "root", why: error.to_string() })?;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain(), identity.key())?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_client_auth_cert(identity.chain(), identity.key())?;
        client.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { identity, root, server: Arc::new(server), client: Arc::new(client) })
    }
}

/// The one provider of the project.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
