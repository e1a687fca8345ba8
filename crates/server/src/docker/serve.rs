//! Accepting connections until the daemon stops.

use std::fmt::Debug;
use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio_util::sync::CancellationToken;

use super::Front;

/// How long open requests may take to end once the daemon stops. Streams are
/// ended at once; what remains is a stop or a removal under way.
const GRACE: Duration = Duration::from_secs(5);

/// Serves the API on one listener until `stop` is cancelled, then lets open
/// requests end for a moment.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve<L>(front: Arc<Front>, listener: L, stop: CancellationToken) -> io::Result<()>
where
    L: Listener,
    L::Addr: Debug,
{
    let router = super::router(front);
    let stopped = stop.clone();
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopped.cancelled().await })
        .into_future();
    tokio::select! {
        result = serving => result,
        () = after(stop) => Ok(()),
    }
}

async fn after(stop: CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
    tracing::info!("some requests were still open at the end");
}
