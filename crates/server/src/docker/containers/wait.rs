//! `POST /containers/{id}/wait`.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use serde_json::json;
use shoal_engine::domain::{WaitCondition, Waited};

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::Query;

/// Waits for a container. The headers go out at once and the body when the
/// wait is over: `docker run` starts the container only after it has seen them.
pub(crate) async fn wait(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let condition = match query.get("condition").unwrap_or("not-running") {
        "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(ApiError::invalid(format!("invalid condition: {other:?}"))),
    };
    let waiting = front.engine.containers().wait(&id, condition)?;
    let stop = front.stop.clone();
    let answer = stream::once(async move {
        tokio::select! {
            waited = waiting.done() => Ok(render(&waited)),
            // Not an answer: the container goes on and the client may ask again.
            () = stop.cancelled() => Err(io::Error::other("the daemon is stopping")),
        }
    });
    Ok(body::streamed("application/json", Body::from_stream(answer)))
}

fn render(waited: &Waited) -> Bytes {
    let error = waited.error.as_ref().map(|message| json!({ "Message": message }));
    let document = json!({ "StatusCode": waited.exit_code, "Error": error });
    Bytes::from(document.to_string() + "\n")
}
