//! `shoal serve`: the daemon of one node.
//!
//! Opens the parts in their order, wires them, serves until it is told to
//! stop, and closes them in the other order. Containers go on running: the
//! next daemon finds them again.

mod config;
mod listen;
mod lock;
mod logs;
mod parts;
mod tls;

use std::time::Duration;

use anyhow::{Context, Result};
use shoal_engine::OpenFiles;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use config::Config;
use parts::Parts;

pub(crate) use config::Args;

/// How long the sessions of attached clients may take to end.
const SESSIONS_GRACE: Duration = Duration::from_secs(2);

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// A configuration that makes no sense, a root that another daemon uses, and
/// whatever keeps a part from opening.
pub(crate) fn run(args: Args) -> Result<()> {
    let config = Config::read(args)?;
    logs::start(&config.log_level)?;
    // The ring provider is the only one linked; a second call would only say so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let open_files = raise_open_files();
    let _lock = lock::Lock::take(&config.root, &config.run_dir)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    let served = runtime.block_on(serve(config, open_files));
    runtime.shutdown_timeout(SESSIONS_GRACE);
    served
}

async fn serve(config: Config, open_files: OpenFiles) -> Result<()> {
    let stop = CancellationToken::new();
    let listeners = listen::open(&config).await?;
    let parts = Parts::open(&config, open_files, stop.clone()).await?;
    let mut serving = JoinSet::new();
    for listener in listeners {
        tracing::info!(address = %listener.address(), "listening");
        serving.spawn(listener.serve(parts.front.clone(), stop.clone()));
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), root = %config.root.display(), "ready");
    let ended = tokio::select! {
        signal = told_to_stop() => signal.map(|name| tracing::info!(signal = name, "stopping; containers go on running")),
        ended = serving.join_next() => match ended {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(error.into()),
            None => Ok(()),
        },
    };
    stop.cancel();
    while serving.join_next().await.is_some() {}
    parts.close().await;
    tracing::info!("stopped");
    ended
}

/// Waits for a signal that ends the daemon, and says which. A second one ends
/// the process at once.
async fn told_to_stop() -> Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("catching SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("catching SIGINT")?;
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(1);
    });
    Ok(name)
}

/// 500 containers need some thousand descriptors; the usual soft limit is 1,024. The answer is
/// the limit there was: containers have that one, as programs there may close every number below
/// it at their start.
fn raise_open_files() -> OpenFiles {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::info!(%error, "the limit of open files stays as it is");
    }
    let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    OpenFiles { soft: number(limit.current), hard: number(limit.maximum) }
}
