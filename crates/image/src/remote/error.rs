//! Docker's words for what registries answer and networks do.

use std::{error::Error as _, net::SocketAddr, time::Duration};

use serde::Deserialize;
use shoal_model::{Classify, Kind, Reference};

use crate::IoCause;

/// For an answer to begin: a registry may sum a large blob first.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// For the next bytes of a document.
const READ_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest error body that is read.
const MAX_ERROR_BODY: usize = 64 << 10;
/// Longest error text that is shown.
const MAX_TEXT: usize = 2000;

/// A registry that refuses or cannot be reached. Docker's texts.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// `manifest for X not found: manifest unknown: manifest unknown` and kin.
    #[error("{0}")]
    NotFound(String),
    /// The registry refuses, and says why: `denied: requested access to the
    /// resource is denied`.
    #[error("{code}: {message}")]
    Refused {
        /// The error's code in lower case with blanks.
        code: String,
        /// The registry's words.
        message: String,
        /// HTTP status.
        status: u16,
    },
    /// Credentials are wanted and there are none, or the wrong ones.
    #[error("{0}")]
    Unauthorized(String),
    /// Nobody answers: `Get "http://localhost:5000/v2/": …`.
    #[error("{method} \"{url}\": {reason}")]
    Unreachable {
        /// `Get`, `Head`, …
        method: &'static str,
        /// What was asked.
        url: String,
        /// The network's words.
        reason: String,
    },
    /// An answer that no registry gives.
    #[error("{0}")]
    Protocol(String),
}

impl Classify for RemoteError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::Refused { status: 403, .. } => Kind::Forbidden,
            Self::Refused { status: 404, .. } => Kind::NotFound,
            Self::Refused { status: 429, .. } | Self::Unreachable { .. } => Kind::Unavailable,
            Self::Refused { .. } | Self::Protocol(_) => Kind::Internal,
            Self::Unauthorized(_) => Kind::Unauthorized,
        }
    }
}

impl RemoteError {
    /// What a pull of `name` says about it.
    pub(crate) fn of_pull(self, name: &Reference) -> Self {
        let access_denied = |cause: &str| {
            Self::NotFound(format!(
                "pull access denied for {}, repository does not exist or may require \
                 'docker login': {cause}",
                name.familiar_name()
            ))
        };
        match &self {
            Self::Refused { code, .. } => match code.as_str() {
                "denied" => access_denied(&self.to_string()),
                "manifest unknown" => {
                    Self::NotFound(format!("manifest for {} not found: {self}", name.familiar()))
                }
                "name unknown" => {
                    Self::NotFound(format!("repository {} not found: {self}", name.familiar_name()))
                }
                _ => self,
            },
            // Not as 401: to the docker CLI that means that the daemon itself wants a login, and
            // it asks on the terminal for one to Docker Hub.
            Self::Unauthorized(cause) => access_denied(cause),
            _ => self,
        }
    }

    /// A retry may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // A full disk (507) stays full for the moment.
            Self::Refused { status, .. } => *status == 429 || (*status >= 500 && *status != 507),
            _ => false,
        }
    }
}

/// The error for a request that got no answer.
pub(super) fn unreachable(method: &'static str, url: &str, error: &reqwest::Error) -> RemoteError {
    RemoteError::Unreachable { method, url: url.into(), reason: reason(error) }
}

/// Sends a request and waits for its answer to begin.
pub(super) async fn answer(
    method: &'static str,
    url: &str,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, RemoteError> {
    tokio::time::timeout(ANSWER_TIMEOUT, request.send())
        .await
        .map_err(|_| silent(method, url))?
        .map_err(|error| unreachable(method, url, &error))
}

/// The error for a request whose answer does not begin.
fn silent(method: &'static str, url: &str) -> RemoteError {
    let reason = "net/http: timeout awaiting response headers".into();
    RemoteError::Unreachable { method, url: url.into(), reason }
}

/// The innermost cause in Go's words where users know them.
fn reason(outer: &reqwest::Error) -> String {
    let mut cause = outer.source();
    let mut words = Vec::new();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.raw_os_error().is_some()
        {
            let of = std::io::Error::from_raw_os_error(io.raw_os_error().unwrap_or(0));
            let stage = if outer.is_connect() { dialled(outer) } else { String::new() };
            return format!("{stage}{}", IoCause(of));
        }
        let text = error.to_string();
        if text.contains("dns error") {
            let host = outer.url().and_then(|url| url.host_str().map(str::to_owned));
            return format!("dial tcp: lookup {}: no such host", host.unwrap_or_default());
        }
        // A plain HTTP server answers a TLS greeting with text.
        if text.contains("InvalidContentType") || text.contains("invalid content type") {
            return "http: server gave HTTP response to HTTPS client".into();
        }
        if words.last() != Some(&text) {
            words.push(text);
        }
        cause = error.source();
    }
    if outer.is_timeout() {
        return "net/http: request canceled (Client.Timeout exceeded)".into();
    }
    if words.is_empty() { outer.to_string() } else { words.join(": ") }
}

/// `dial tcp 127.0.0.1:5000: connect: `: which address it was matters where a
/// name has several. The connector tells it in its debugging form only.
fn dialled(outer: &reqwest::Error) -> String {
    let mut cause = outer.source();
    while let Some(error) = cause {
        if let Some(address) = address_in(&format!("{error:?}")) {
            return format!("dial tcp {address}: connect: ");
        }
        cause = error.source();
    }
    "dial tcp: connect: ".to_owned()
}

/// The address in `ConnectError("tcp connect error", 127.0.0.1:5000, …)`.
fn address_in(text: &str) -> Option<SocketAddr> {
    let rest = text.strip_prefix("ConnectError(")?.split_once(", ")?.1;
    rest.split(", ").next()?.parse().ok()
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The error of an answer that is not a success.
pub(super) async fn refused(response: reqwest::Response) -> RemoteError {
    let status = response.status();
    let url = response.url().to_string();
    let body = limited(response, MAX_ERROR_BODY).await.unwrap_or_default();
    let item = serde_json::from_slice::<Envelope>(&body)
        .ok()
        .and_then(|envelope| envelope.errors.into_iter().find(|item| !item.code.is_empty()));
    let (code, message) = match item {
        Some(item) => (item.code.to_lowercase().replace('_', " "), item.message),
        None => match status.as_u16() {
            401 => ("unauthorized".into(), "authentication required".into()),
            403 => ("denied".into(), "requested access to the resource is denied".into()),
            _ => {
                return RemoteError::Refused {
                    code: "received unexpected HTTP status".into(),
                    message: format!("{status} ({url})"),
                    status: status.as_u16(),
                };
            }
        },
    };
    let message = if message.is_empty() { code.clone() } else { message };
    let message: String = message.chars().take(MAX_TEXT).collect();
    if status.as_u16() == 401 {
        return RemoteError::Unauthorized(format!("{code}: {message}"));
    }
    RemoteError::Refused { code, message, status: status.as_u16() }
}

/// A body that must not be longer than `limit` bytes.
pub(super) async fn limited(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, RemoteError> {
    let url = response.url().to_string();
    let mut bytes = Vec::new();
    let stalled = |_| RemoteError::Unreachable {
        method: "Get",
        url: url.clone(),
        reason: "no data for too long".into(),
    };
    loop {
        let chunk = tokio::time::timeout(READ_TIMEOUT, response.chunk()).await.map_err(stalled)?;
        let Some(chunk) = chunk.map_err(|error| unreachable("Get", &url, &error))? else { break };
        if bytes.len() + chunk.len() > limit {
            return Err(RemoteError::Protocol(format!("{url}: the answer is too long")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_connection_names_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let url = format!("http://{address}/v2/");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let error = answer("Get", &url, client.get(&url)).await.unwrap_err();
        let text = format!("Get \"{url}\": dial tcp {address}: connect: connection refused");
        assert_eq!(error.to_string(), text);
    }
}
