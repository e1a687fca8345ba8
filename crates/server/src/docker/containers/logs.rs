//! `GET /containers/{id}/logs`.

use std::convert::Infallible;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream;
use shoal_engine::domain::{LogOptions, LogStreams};
use shoal_engine::{LogEntry, OutputStream};

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::frames::{Channel, Framing};
use super::super::front::App;
use super::super::query::Query;
use super::super::time::parse_since;
use super::super::version::ApiVersion;

/// Sends a container's log.
pub(crate) async fn logs(
    State(front): App,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    query.refuse(&["details"])?;
    let options = read_options(&query)?;
    let timestamps = query.flag("timestamps");
    let log = front.engine.containers().logs(&id, options).await?;
    let framing = Framing::of(log.tty());
    let stop = front.stop.clone();
    let pieces = stream::unfold((log, stop), move |(mut log, stop)| async move {
        let entry = tokio::select! {
            entry = log.next() => entry?,
            () = stop.cancelled() => return None,
        };
        Some((Ok::<_, Infallible>(render(&entry, framing, timestamps)), (log, stop)))
    });
    Ok(body::streamed(framing.media_type(version), Body::from_stream(pieces)))
}

fn read_options(query: &Query) -> Result<LogOptions> {
    let streams = LogStreams { stdout: query.flag("stdout"), stderr: query.flag("stderr") };
    if !streams.stdout && !streams.stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    Ok(LogOptions {
        streams,
        follow: query.flag("follow"),
        tail: read_tail(query),
        since: query.get("since").map(parse_since).transpose()?.flatten(),
        until: query.get("until").map(parse_since).transpose()?.flatten(),
    })
}

/// Docker's rule: whatever is no number of at least 0 means all.
fn read_tail(query: &Query) -> Option<usize> {
    query.get("tail").and_then(|tail| tail.parse().ok())
}

fn render(entry: &LogEntry, framing: Framing, timestamps: bool) -> Bytes {
    let channel = match entry.stream {
        OutputStream::Stdout => Channel::Stdout,
        OutputStream::Stderr => Channel::Stderr,
    };
    if !timestamps {
        return framing.wrap(channel, entry.data.clone());
    }
    let mut line = entry.time.rfc3339_nano_padded().into_bytes();
    line.push(b' ');
    line.extend_from_slice(&entry.data);
    framing.wrap(channel, line.into())
}
