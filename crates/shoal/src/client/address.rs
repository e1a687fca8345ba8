//! Where the daemon is: `unix:///path`, `tcp://host:port`, with TLS or without.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where `shoal serve` listens unless told otherwise.
const DEFAULT_SOCKET: &str = "/run/shoal/shoal.sock";

/// The address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp {
        /// Host and port.
        authority: String,
        /// How to speak TLS, if at all.
        tls: Option<TlsFiles>,
    },
}

/// The files Docker's `DOCKER_CERT_PATH` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The directory with `ca.pem`, `cert.pem` and `key.pem`.
    pub(crate) directory: PathBuf,
}

impl Address {
    /// Reads an address as `--host` takes it.
    ///
    /// # Errors
    /// When the scheme is none of unix, tcp, http or https.
    pub(crate) fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            bail!("invalid host {text:?}: expected unix:///path or tcp://host:port");
        };
        match scheme {
            "unix" if rest.is_empty() => Ok(Self::Unix(DEFAULT_SOCKET.into())),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" | "http" => Ok(Self::Tcp { authority: authority(rest, tls.is_some()), tls }),
            "https" => {
                let tls = tls.or_else(default_tls);
                Ok(Self::Tcp { authority: authority(rest, true), tls })
            }
            other => bail!("invalid host {text:?}: {other} is not supported, use unix or tcp"),
        }
    }

    /// The address to use: the flag, then `SHOAL_HOST`, then `DOCKER_HOST`,
    /// then the default socket.
    ///
    /// # Errors
    /// When the chosen one cannot be read.
    pub(crate) fn choose(flag: Option<&str>) -> Result<Self> {
        let tls = env::var_os("DOCKER_TLS_VERIFY").filter(|v| !v.is_empty());
        let tls = tls.and_then(|_| default_tls());
        let set = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
        match flag.map(str::to_owned).or_else(|| set("SHOAL_HOST")).or_else(|| set("DOCKER_HOST")) {
            Some(text) => Self::parse(&text, tls).context("choosing the daemon to talk to"),
            None => Ok(Self::Unix(DEFAULT_SOCKET.into())),
        }
    }

    /// The host part of a request.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Self::Unix(_) => "shoal",
            Self::Tcp { authority, .. } => authority,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { authority, .. } => write!(f, "tcp://{authority}"),
        }
    }
}

fn authority(rest: &str, tls: bool) -> String {
    let rest = rest.trim_end_matches('/');
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (has_port, tls) {
        (true, _) => rest.to_owned(),
        (false, true) => format!("{rest}:2376"),
        (false, false) => format!("{rest}:2375"),
    }
}

/// `DOCKER_CERT_PATH`, or Docker's own place for it.
fn default_tls() -> Option<TlsFiles> {
    let path = env::var_os("DOCKER_CERT_PATH").map(PathBuf::from);
    let directory = path.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".docker")))?;
    Some(TlsFiles { directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_dockers() {
        let parse = |text| Address::parse(text, None).map(|address| address.to_string());
        assert_eq!(parse("unix:///tmp/a.sock").expect("unix"), "unix:///tmp/a.sock");
        assert_eq!(parse("tcp://127.0.0.1").expect("tcp"), "tcp://127.0.0.1:2375");
        assert_eq!(parse("tcp://[::1]:99").expect("tcp"), "tcp://[::1]:99");
        assert!(parse("ssh://host").is_err() && parse("/tmp/a.sock").is_err());
    }
}
