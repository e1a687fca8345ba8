//! Opening a connection to a daemon: unix socket, TCP, TCP with TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::RequestBody;
use super::address::{Address, TlsFiles};
use crate::pem::{certificates, private_key};

/// How long a TCP connection may take; a unix socket answers or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Both directions of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects and makes ready for one request.
///
/// # Errors
/// When nobody answers, naming the address and what to try.
pub(crate) async fn open(address: &Address) -> Result<SendRequest<RequestBody>> {
    let stream = dial(address).await.with_context(|| {
        format!("cannot connect to the daemon at {address} (is `shoal serve` running?)")
    })?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.context("connecting")?;
    // Ends with its connection; the command line ends soon after either.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

async fn dial(address: &Address) -> Result<Box<dyn Duplex>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { authority, tls } => {
            let connecting = TcpStream::connect(authority.as_str());
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await??;
            stream.set_nodelay(true)?;
            match tls {
                None => Ok(Box::new(stream)),
                Some(files) => Ok(Box::new(secure(stream, authority, files).await?)),
            }
        }
    }
}

async fn secure(
    stream: TcpStream,
    authority: &str,
    files: &TlsFiles,
) -> Result<TlsStream<TcpStream>> {
    let (host, _) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).context("reading the daemon's host name")?;
    let connector = TlsConnector::from(Arc::new(tls_config(&files.directory)?));
    Ok(connector.connect(name, stream).await?)
}

fn tls_config(directory: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&directory.join("ca.pem"))? {
        roots.add(certificate).context("reading ca.pem")?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    if !cert.exists() {
        return Ok(config.with_no_client_auth());
    }
    config
        .with_client_auth_cert(certificates(&cert)?, private_key(&key)?)
        .context("reading cert.pem and key.pem")
}
