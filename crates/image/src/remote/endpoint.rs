//! Which registry may be spoken to how: always by https, except those listed
//! as insecure and loopback, which are tried by https without a known
//! certificate and then by http, as Docker does.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use shoal_model::Reference;

use super::{Auth, RemoteError, auth::Challenge, error, session::Session};
use crate::StoreConfig;

/// For a registry to take a connection (Docker's dialer).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Probes of a silent connection: an upload itself has no time limit.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Clients remembered; each has its own connections.
const MAX_CLIENTS: usize = 64;

/// All registries of a store.
pub(crate) struct Registries {
    insecure: Vec<Pattern>,
    certs_dir: Option<PathBuf>,
    clients: Mutex<HashMap<ClientKey, reqwest::Client>>,
    /// What answered last time, so that it is asked first.
    plain: Mutex<HashMap<String, bool>>,
}

/// What one client can be shared by.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    insecure: bool,
    loopback: bool,
    /// Set where the registry has certificates of its own.
    domain: Option<String>,
}

/// A line of the list of insecure registries.
enum Pattern {
    Host(String),
    Network(IpAddr, u8),
}

impl Registries {
    pub(crate) fn new(config: &StoreConfig) -> Self {
        // The binary may have chosen already; both choose the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            insecure: config.insecure_registries.iter().map(|text| Pattern::parse(text)).collect(),
            certs_dir: config.certs_dir.clone(),
            clients: Mutex::default(),
            plain: Mutex::default(),
        }
    }

    /// Finds out how to speak to the registry of `name`, and what it asks for.
    pub(crate) async fn session(
        &self,
        name: &Reference,
        auth: &Auth,
        scopes: Vec<String>,
    ) -> Result<Session, RemoteError> {
        let host = host_of(name.domain());
        let key = self.key(host);
        let client = self.client(&key)?;
        let mut schemes = if key.insecure { vec!["https", "http"] } else { vec!["https"] };
        if self.plain.lock().unwrap_or_else(PoisonError::into_inner).get(host) == Some(&true) {
            schemes.reverse();
        }
        let mut failed = None;
        for scheme in schemes {
            let base = format!("{scheme}://{host}");
            let url = format!("{base}/v2/");
            match error::answer("Get", &url, client.get(&url)).await {
                Ok(response) => {
                    self.remember(host, scheme == "http");
                    let challenge = match response.status().as_u16() {
                        401 => Challenge::of(response.headers()),
                        _ => Challenge::None,
                    };
                    let auth = auth.clone();
                    return Ok(Session::new(client, base, name, auth, challenge, scopes));
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| RemoteError::Protocol(format!("{host} has no address"))))
    }

    fn remember(&self, host: &str, plain: bool) {
        let mut known = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_CLIENTS {
            known.clear();
        }
        known.insert(host.into(), plain);
    }

    fn key(&self, host: &str) -> ClientKey {
        let bare = without_port(host);
        let loopback =
            bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let insecure = loopback || self.insecure.iter().any(|pattern| pattern.matches(host, bare));
        let has_certs =
            self.certs_dir.as_ref().is_some_and(|directory| directory.join(host).is_dir());
        ClientKey { insecure, loopback, domain: has_certs.then(|| host.to_owned()) }
    }

    fn client(&self, key: &ClientKey) -> Result<reqwest::Client, RemoteError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(key) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("shoal/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            .tls_danger_accept_invalid_certs(key.insecure);
        if key.loopback {
            builder = builder.no_proxy();
        }
        if let Some(domain) = &key.domain {
            builder = builder.tls_certs_merge(self.certificates(domain));
        }
        let client = builder
            .build()
            .map_err(|error| RemoteError::Protocol(format!("cannot prepare for https: {error}")))?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(key.clone(), client.clone());
        Ok(client)
    }

    /// The registry's own authorities (`certs.d/HOST/*.crt`).
    fn certificates(&self, domain: &str) -> Vec<reqwest::Certificate> {
        let Some(directory) = &self.certs_dir else { return Vec::new() };
        let Ok(listing) = std::fs::read_dir(directory.join(domain)) else { return Vec::new() };
        let files = listing.flatten().map(|item| item.path());
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
            .filter_map(|path| {
                let read = std::fs::read(&path).map_err(|error| error.to_string());
                let certificate = read.and_then(|bytes| {
                    reqwest::Certificate::from_pem(&bytes).map_err(|error| error.to_string())
                });
                certificate
                    .inspect_err(|error| {
                        tracing::warn!(path = %path.display(), error, "certificate not used");
                    })
                    .ok()
            })
            .collect()
    }
}

/// Docker Hub answers under another name than its images have.
fn host_of(domain: &str) -> &str {
    if domain == "docker.io" { "registry-1.docker.io" } else { domain }
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    host.rsplit_once(':').map_or(host, |(bare, _)| bare)
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        let network = text.split_once('/').and_then(|(address, bits)| {
            Some(Self::Network(address.parse().ok()?, bits.parse().ok()?))
        });
        network.unwrap_or_else(|| Self::Host(text.to_owned()))
    }

    fn matches(&self, host: &str, bare: &str) -> bool {
        match self {
            Self::Host(listed) => listed == host || listed == bare,
            Self::Network(network, bits) => {
                bare.parse().is_ok_and(|address| contains(*network, *bits, address))
            }
        }
    }
}

fn contains(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let same = |a: u128, b: u128, width: u32| {
        let shift = width.saturating_sub(u32::from(bits));
        shift >= 128 || (a >> shift) == (b >> shift)
    };
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insecure_registries_are_matched_as_docker_does() {
        let registries = Registries::new(&StoreConfig {
            insecure_registries: vec![
                "10.89.0.0/24".into(),
                "plain.example:5000".into(),
                "any.example".into(),
            ],
            certs_dir: None,
        });
        for (host, insecure) in [
            ("localhost:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("10.89.0.7:8003", true),
            ("10.89.1.7:8003", false),
            ("plain.example:5000", true),
            ("plain.example:5001", false),
            ("any.example:5001", true),
            ("registry-1.docker.io", false),
        ] {
            assert_eq!(registries.key(host).insecure, insecure, "{host}");
        }
    }

    #[tokio::test]
    async fn plain_http_where_https_is_wanted_is_said_in_dockers_words() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let registries = Registries::new(&StoreConfig::default());
        let key = ClientKey { insecure: false, loopback: true, domain: None };
        let client = registries.client(&key).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/v2/", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 16];
            stream.read_exact(&mut greeting).await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        };
        let (answer, ()) = tokio::join!(client.get(&url).send(), server);
        assert_eq!(
            error::unreachable("Get", &url, &answer.unwrap_err()).to_string(),
            format!("Get \"{url}\": http: server gave HTTP response to HTTPS client")
        );
    }
}
