//! Where the daemon listens: its unix socket, and TCP when asked.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use shoal_server::docker::{self, Front};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::tls::TlsListener;

/// One place to listen.
pub(super) enum Listener {
    /// The unix socket.
    Unix(UnixListener, String),
    /// TCP, on loopback or where it was asked for in so many words.
    Plain(TcpListener, String),
    /// TCP with TLS.
    Tls(TlsListener, String),
}

/// Opens them all.
///
/// # Errors
/// An address in use, files that cannot be read.
pub(super) async fn open(config: &Config) -> Result<Vec<Listener>> {
    let socket = open_socket(&config.socket, &config.group)?;
    let mut listeners = vec![Listener::Unix(socket, format!("unix://{}", config.socket.display()))];
    for address in &config.tcp {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on tcp://{address}"))?;
        let name = format!("tcp://{address}");
        listeners.push(match &config.tls {
            Some(files) => Listener::Tls(TlsListener::new(listener, files)?, name),
            None => Listener::Plain(listener, name),
        });
    }
    Ok(listeners)
}

impl Listener {
    /// Its address, for people.
    pub(super) fn address(&self) -> &str {
        match self {
            Self::Unix(_, address) | Self::Plain(_, address) | Self::Tls(_, address) => address,
        }
    }

    /// Serves the API until told to stop.
    pub(super) async fn serve(self, front: Arc<Front>, stop: CancellationToken) -> Result<()> {
        let served = match self {
            Self::Unix(listener, address) => {
                let served = docker::serve(front, listener, stop).await;
                // Clients then see at once that nobody is here.
                let _ = fs::remove_file(address.trim_start_matches("unix://"));
                served
            }
            Self::Plain(listener, _) => docker::serve(front, listener, stop).await,
            Self::Tls(listener, _) => docker::serve(front, listener, stop).await,
        };
        served.context("serving the API")
    }
}

/// Makes the socket under another name first, so that it never stands there
/// with wider rights than it should. A socket of a daemon that died is
/// replaced: the lock says that nobody else uses it.
fn open_socket(path: &Path, group: &(String, bool)) -> Result<UnixListener> {
    let what = || format!("listening on unix://{}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(what)?;
    }
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(what);
        }
        _ => {}
    }
    let listener = UnixListener::bind(&new).with_context(what)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o660)).with_context(what)?;
    match group_id(&group.0)? {
        Some(id) => chown(&new, None, Some(id)).with_context(what)?,
        None if group.1 => bail!("there is no group {:?} for the socket", group.0),
        None => {}
    }
    fs::rename(&new, path).with_context(what)?;
    Ok(listener)
}

fn group_id(name: &str) -> Result<Option<u32>> {
    let groups = match fs::read_to_string("/etc/group") {
        Ok(groups) => groups,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("reading /etc/group"),
    };
    let id = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? == name { fields.nth(1)?.parse().ok() } else { None }
    });
    Ok(id)
}
