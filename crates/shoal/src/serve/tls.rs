//! TCP with TLS. Handshakes run beside each other and have their time: a
//! client that says nothing holds up nobody.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::serve::Listener;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::config::TlsFiles;
use crate::pem::{certificates, private_key};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many may be under way; further connections wait in the kernel.
const MAX_HANDSHAKES: usize = 64;
/// The pause after a failed accept (out of descriptors, usually).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener whose connections are already encrypted.
pub(super) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    /// Speaks TLS on a listener.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit.
    pub(super) fn new(tcp: TcpListener, files: &TlsFiles) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(files)?));
        Ok(Self { tcp, acceptor, handshakes: JoinSet::new() })
    }

    fn shake_hands(&mut self, stream: TcpStream, address: SocketAddr) {
        let accepting = self.acceptor.accept(stream);
        self.handshakes.spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
                Ok(Ok(stream)) => Some((stream, address)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, %address, "a TLS handshake failed");
                    None
                }
                Err(_) => None,
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let room = self.handshakes.len() < MAX_HANDSHAKES;
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
                accepted = self.tcp.accept(), if room => match accepted {
                    Ok((stream, address)) => self.shake_hands(stream, address),
                    Err(error) => {
                        tracing::debug!(%error, "accepting a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match &files.ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots.add(certificate).with_context(|| format!("reading {}", ca.display()))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(
                verifier.with_context(|| format!("reading {}", ca.display()))?,
            )
        }
    };
    builder
        .with_single_cert(certificates(&files.cert)?, private_key(&files.key)?)
        .with_context(|| format!("using {}", files.cert.display()))
}
