//! Passing our signals and our terminal's size on to a container.

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client::{Client, Query};

/// The signals that are passed on. Those of job control and of our own
/// children are not.
const FORWARDED: [(i32, &str); 6] =
    [(1, "HUP"), (2, "INT"), (3, "QUIT"), (10, "USR1"), (12, "USR2"), (15, "TERM")];

/// Sends every signal we get to the container; never returns.
///
/// # Errors
/// When the signals cannot be caught.
pub(crate) async fn forward_signals(client: &Client, container: &str) -> Result<()> {
    let mut caught = Vec::new();
    for (number, name) in FORWARDED {
        caught.push((signal(SignalKind::from_raw(number)).context("catching signals")?, name));
    }
    let path = format!("/containers/{}/kill", crate::client::segment(container));
    let mut waiting: FuturesUnordered<_> = caught.into_iter().map(next).collect();
    while let Some((source, name)) = waiting.next().await {
        if let Err(error) = client.act(&path, &Query::new().with("signal", name)).await {
            tracing::debug!(error = format!("{error:#}"), signal = name, "passing a signal on");
        }
        waiting.push(next((source, name)));
    }
    Ok(())
}

async fn next((mut source, name): (Signal, &'static str)) -> (Signal, &'static str) {
    source.recv().await;
    (source, name)
}

/// Tells the daemon our terminal's size now and whenever it changes; never
/// returns. `path` is the resize endpoint of a container or an exec.
///
/// # Errors
/// When the signal cannot be caught.
pub(crate) async fn resize_on_change(client: &Client, path: &str) -> Result<()> {
    let mut changed = signal(SignalKind::window_change()).context("catching signals")?;
    loop {
        if let Some((rows, columns)) = super::size() {
            let query = Query::new().with("h", rows).with("w", columns);
            if let Err(error) = client.act(path, &query).await {
                tracing::debug!(error = format!("{error:#}"), "passing the terminal's size on");
            }
        }
        if changed.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
