//! `shoal login`, `logout` and `registry`.

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use shoal_model::units::{human_size, parse_go_duration};
use shoal_server::registry::{self, GarbageOptions, Registry, Users};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::registry_image::Image;
use super::shell::Shell;
use crate::client::{Credentials, DockerConfig, Query};
use crate::print;
use crate::print::words::text;
use crate::terminal::hide_input;

/// Log in to a registry.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal login registry.local:5000
  shoal login -u ann --password-stdin registry.local:5000 < password")]
pub(super) struct Login {
    /// User name at the registry; asked for if it is not given
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// The password; others may see it in the list of processes
    #[arg(short, long)]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,
    /// The registry [default: Docker Hub]
    server: Option<String>,
}

impl Login {
    /// Asks the registry, and keeps the credentials in docker's configuration.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let server = self.server.unwrap_or_default();
        let username = match self.username {
            Some(name) => name,
            None if self.password_stdin => bail!("must provide --username with --password-stdin"),
            None => {
                print::talk("Username: ");
                read_line()?
            }
        };
        let password = match self.password {
            Some(password) => {
                print::talk(
                    "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
                );
                password
            }
            None if self.password_stdin => {
                io::read_to_string(io::stdin())?.trim_end_matches(['\r', '\n']).to_owned()
            }
            None => {
                print::talk("Password: ");
                hide_input()?
            }
        };
        if username.is_empty() || password.is_empty() {
            bail!("a user name and a password are needed");
        }
        let mut credentials = Credentials { username, password, server, ..Credentials::default() };
        let answer = shell.client.post("/auth", &Query::new(), &credentials.document()).await?;
        credentials.identity_token = text(&answer, "IdentityToken").to_owned();
        DockerConfig::load()?.store(&credentials)?;
        Ok(print::line(text(&answer, "Status"))?)
    }
}

fn read_line() -> Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("reading the user name")?;
    Ok(line.trim().to_owned())
}

/// Log out from a registry.
#[derive(Debug, Args)]
pub(super) struct Logout {
    /// The registry [default: Docker Hub]
    server: Option<String>,
}

impl Logout {
    /// Forgets the credentials.
    pub(super) fn run(self) -> Result<()> {
        let server = self.server.unwrap_or_default();
        let name = if server.is_empty() { "https://index.docker.io/v1/" } else { &server };
        if DockerConfig::load()?.forget(&server)? {
            Ok(print::line(format_args!("Removing login credentials for {name}"))?)
        } else {
            Ok(print::line(format_args!("Not logged in to {name}"))?)
        }
    }
}

/// The verbs of a private registry.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Serve a registry from a directory
    Serve(Serve),
    /// Remove what no manifest names any more, while nobody serves the directory
    GarbageCollect(GarbageCollect),
    /// Load an image of this registry into the daemon, to be run as a container
    Image(Image),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Serve(serve) => serve.serve().await,
            Self::GarbageCollect(collect) => collect.run(),
            Self::Image(image) => image.run(shell).await,
        }
    }
}

/// Serve a registry from a directory.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal registry serve --listen 127.0.0.1:5000 --dir /srv/registry
  (printf ann:; printf %s \"$PASSWORD\" | sha256sum | cut -c-64) >> users
  shoal registry serve --users users
  shoal registry image registry && shoal run -d -p 8003:5000 --name registry registry")]
pub(super) struct Serve {
    /// Address and port
    #[arg(
        long,
        env = "REGISTRY_LISTEN",
        default_value = "0.0.0.0:5000",
        value_name = "ADDRESS:PORT"
    )]
    listen: SocketAddr,
    /// Where the images are kept
    #[arg(
        long,
        env = "REGISTRY_DIR",
        default_value = "/var/lib/registry",
        value_name = "DIRECTORY"
    )]
    dir: PathBuf,
    /// Who may use it, one NAME:SHA256 per line with the sum of the password; anybody without it
    #[arg(long, env = "REGISTRY_USERS", value_name = "FILE")]
    users: Option<PathBuf>,
}

impl Serve {
    /// Serves until told to stop, with a runtime of its own.
    pub(super) fn run(self) -> Result<()> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<()> {
        let users = match &self.users {
            Some(path) => read_users(path)?,
            None => Users::default(),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            stopped.cancel();
        });
        let what = || format!("serving {} on {}", self.dir.display(), self.listen);
        // First, so that a second one by mistake has not touched the directory.
        let listener = TcpListener::bind(self.listen).await.with_context(what)?;
        let registry = Registry::open(&self.dir, users).with_context(what)?;
        print::talk(what());
        registry::serve(listener, registry, stop).await.with_context(what)
    }
}

/// Remove what no manifest names any more.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal registry garbage-collect --dry-run /srv/registry
  shoal registry garbage-collect --delete-untagged /srv/registry")]
pub(super) struct GarbageCollect {
    /// Only say what would go
    #[arg(short, long)]
    dry_run: bool,
    /// Also manifests no tag leads to
    #[arg(short = 'm', long)]
    delete_untagged: bool,
    /// Uploads nobody has written to for so long
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    uploads: Duration,
    /// Where the images are kept
    #[arg(env = "REGISTRY_DIR", default_value = "/var/lib/registry")]
    dir: PathBuf,
}

impl GarbageCollect {
    fn run(self) -> Result<()> {
        let options = GarbageOptions {
            dry_run: self.dry_run,
            untagged: self.delete_untagged,
            upload_age: self.uploads,
        };
        let garbage = registry::collect_garbage(&self.dir, &options)
            .with_context(|| format!("collecting the garbage of {}", self.dir.display()))?;
        for (repository, digest) in &garbage.manifests {
            print::line(format_args!("manifest {repository}@{digest}"))?;
        }
        for (digest, bytes) in &garbage.blobs {
            print::line(format_args!("blob {digest} {}", human_size(*bytes)))?;
        }
        if !garbage.uploads.is_empty() {
            print::line(format_args!("{} uploads", garbage.uploads.len()))?;
        }
        let what = if self.dry_run { "Reclaimable space" } else { "Total reclaimed space" };
        Ok(print::line(format_args!("{what}: {}", human_size(garbage.bytes())))?)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_go_duration(text).map_err(|error| error.to_string())
}

fn read_users(path: &PathBuf) -> Result<Users> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Users::parse(&text).with_context(|| format!("reading {}", path.display()))
}
