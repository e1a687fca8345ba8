//! Connections to a manager.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use super::{ALPN, Credentials, provider};
use crate::pki::{PkiError, RootCa};

/// The name managers answer to on their certificates.
const MANAGER_NAME: &str = "swarm-manager";
/// The name managers answer to as issuers.
const CA_NAME: &str = "swarm-ca";

/// How far the trust in the other side has come.
#[derive(Clone)]
pub enum Stage {
    /// Nothing is known: only the root certificate may be asked for, and its digest compared.
    Unverified,
    /// The root is known, this node has no certificate yet.
    Joining(Arc<RootCa>),
    /// This node is a member.
    Member(Arc<Credentials>),
}

impl Stage {
    fn client(&self) -> Result<(Arc<ClientConfig>, &'static str), PkiError> {
        match self {
            Self::Unverified => {
                let mut config = ClientConfig::builder_with_provider(provider())
                    .with_safe_default_protocol_versions()?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyServer))
                    .with_no_client_auth();
                config.alpn_protocols = vec![ALPN.to_vec()];
                Ok((Arc::new(config), CA_NAME))
            }
            Self::Joining(root) => {
                let mut config = ClientConfig::builder_with_provider(provider())
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(root.store()?)
                    .with_no_client_auth();
                config.alpn_protocols = vec![ALPN.to_vec()];
                Ok((Arc::new(config), CA_NAME))
            }
            Self::Member(credentials) => {
                Ok((Arc::clone(&credentials.current().client), MANAGER_NAME))
            }
        }
    }
}

/// A lazily connecting channel to `addr` (`host:port`). Whoever answers must be a manager of
/// the cluster as far as the stage can tell; the address plays no part in that.
pub fn channel(addr: &str, stage: Stage, connect_timeout: Duration) -> Channel {
    // Only names the call's authority; whom to connect to is the connector's business.
    let uri = Uri::from_static("http://swarm-manager");
    let target = addr.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let (stage, target) = (stage.clone(), target.clone());
        async move {
            let (config, name) = stage.client().map_err(std::io::Error::other)?;
            let stream = TcpStream::connect(&target).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from(name).map_err(std::io::Error::other)?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    // No HTTP/2 pings: a Docker manager takes frequent ones for an attack, and the heartbeats
    // notice a dead connection as well.
    let endpoint = Endpoint::from(uri)
        .connect_timeout(connect_timeout)
        .initial_stream_window_size(Some(WINDOW_BYTES))
        .initial_connection_window_size(Some(WINDOW_BYTES));
    endpoint.connect_with_connector_lazy(connector)
}

/// Flow-control window: a whole batch of assignments fits without a round trip.
const WINDOW_BYTES: u32 = 1 << 20;

/// Accepts any server. Only for fetching the root certificate, whose digest is then compared
/// with the join token's.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
