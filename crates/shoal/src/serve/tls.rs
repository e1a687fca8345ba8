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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustls::ClientConfig;
    use rustls::pki_types::ServerName;
    use shoal_model::swarm::NodeRole;
    use shoal_node::pki::{Identity, PeerName, PendingKey, RootCa};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::clock::now;

    const LIFETIME: Duration = Duration::from_secs(3600);

    fn identity(authority: &RootCa) -> Identity {
        let key = PendingKey::generate().expect("a key");
        let name = PeerName {
            cluster: "tests".to_owned(),
            role: NodeRole::Manager,
            node: "one".to_owned(),
        };
        let certificate = authority.issue(key.csr_pem(), &name, now(), LIFETIME);
        key.complete(&certificate.expect("a certificate")).expect("an identity")
    }

    /// The files of a server whose clients this authority names.
    fn files(directory: &Path, authority: &RootCa) -> TlsFiles {
        let file = |name: &str, pem: &[u8]| {
            let path = directory.join(name);
            std::fs::write(&path, pem).expect("a file");
            path
        };
        let server = identity(authority);
        TlsFiles {
            cert: file("cert.pem", server.certificate_pem()),
            key: file("key.pem", server.key_pem()),
            ca: Some(file("ca.pem", authority.pem())),
        }
    }

    /// Says a word as a client with that identity, and hears it again.
    async fn talk(to: SocketAddr, authority: &RootCa, client: Option<Identity>) -> io::Result<()> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(authority.store().expect("roots"));
        let config = match client {
            Some(client) => {
                config.with_client_auth_cert(client.chain(), client.key()).expect("a client")
            }
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from("one").expect("a name");
        let stream = TcpStream::connect(to).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(b"hello").await?;
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await?;
        assert_eq!(&heard, b"hello");
        Ok(())
    }

    #[tokio::test]
    async fn only_clients_of_the_authority_are_let_in() {
        let directory = tempfile::tempdir().expect("a directory");
        let [ours, other] = [(); 2].map(|()| RootCa::generate(now()).expect("an authority"));
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = tcp.local_addr().expect("an address");
        let mut listener = TlsListener::new(tcp, &files(directory.path(), &ours)).expect("TLS");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await;
                let mut word = [0; 5];
                if stream.read_exact(&mut word).await.is_ok() {
                    stream.write_all(&word).await.expect("an answer");
                }
            }
        });
        talk(address, &ours, Some(identity(&ours))).await.expect("a known client");
        talk(address, &ours, None).await.expect_err("a client without a certificate");
        talk(address, &ours, Some(identity(&other))).await.expect_err("a stranger");
        talk(address, &ours, Some(identity(&ours))).await.expect("it goes on");
    }
}
