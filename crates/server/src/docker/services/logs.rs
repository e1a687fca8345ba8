//! `GET /services/{id}/logs`, and what it shares with `/tasks/{id}/logs`.

use std::convert::Infallible;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::StreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shoal_model::{Classify, Timestamp};
use shoal_node::{LogLine, LogOptions, LogSelector, LogSource};

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::frames::{Channel, Framing};
use super::super::front::{App, SharedFront};
use super::super::query::Query;
use super::super::time::parse_since;
use super::super::version::ApiVersion;

/// Sends what the tasks of a service wrote, on whatever node.
pub(super) async fn logs(
    State(front): App,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let service = front.node.control()?.read(move |store| store.find_service(&id)).await??;
    let selector = LogSelector { services: vec![service.id.clone()], ..LogSelector::default() };
    let framing = Framing::of(service.spec.task.container.tty);
    stream(front, selector, framing, version, &query).await
}

/// Sends the lines a selector chooses.
///
/// # Errors
/// `Invalid` for a query that makes no sense; the swarm's own.
pub(crate) async fn stream(
    front: SharedFront,
    selector: LogSelector,
    framing: Framing,
    version: ApiVersion,
    query: &Query,
) -> Result<Response> {
    let options = read_options(query)?;
    let (details, timestamps) = (query.flag("details"), query.flag("timestamps"));
    let lines = front.node.control()?.logs(selector, options).await?;
    let stop = front.stop.clone().cancelled_owned();
    let pieces = lines.take_until(stop).map(move |line| {
        let (channel, data) = match line {
            Ok(line) => (channel(line.source), render(&line, details, timestamps)),
            Err(error) => (Channel::SystemError, Bytes::from(error.chain())),
        };
        Ok::<_, Infallible>(framing.wrap(channel, data))
    });
    Ok(body::streamed(framing.media_type(version), Body::from_stream(pieces)))
}

fn channel(source: LogSource) -> Channel {
    match source {
        LogSource::Stdout => Channel::Stdout,
        LogSource::Stderr => Channel::Stderr,
    }
}

fn read_options(query: &Query) -> Result<LogOptions> {
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    Ok(LogOptions {
        stdout,
        stderr,
        follow: query.flag("follow"),
        tail: read_tail(query)?,
        since: query.get("since").map(parse_since).transpose()?.flatten(),
    })
}

/// Docker's rule, stricter than that of a container's log; `None` is all.
fn read_tail(query: &Query) -> Result<Option<u64>> {
    let text = query.get("tail").filter(|text| *text != "all");
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i64>() {
        Err(_) => Err(ApiError::invalid("tail value must be a positive integer or \"all\"")),
        Ok(tail) => match u64::try_from(tail) {
            Ok(tail) => Ok(Some(tail)),
            Err(_) => Err(ApiError::invalid("negative tail values not supported")),
        },
    }
}

/// A line with its time and, as details, where it comes from.
fn render(line: &LogLine, details: bool, timestamps: bool) -> Bytes {
    if !details && !timestamps {
        return line.data.clone();
    }
    let mut text = Vec::with_capacity(line.data.len() + 200);
    if timestamps {
        let time = line.timestamp.unwrap_or(Timestamp::from_nanos(0));
        text.extend_from_slice(time.rfc3339_nano_padded().as_bytes());
        text.push(b' ');
    }
    if details {
        text.extend_from_slice(render_details(line).as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(&line.data);
    text.into()
}

/// `key=value,…` in order, as the docker CLI takes it apart again.
fn render_details(line: &LogLine) -> String {
    let service = line.service_id.as_ref().map(|id| id.as_str()).unwrap_or_default();
    let mut details = vec![
        ("com.docker.swarm.node.id".to_owned(), line.node_id.as_str().to_owned()),
        ("com.docker.swarm.service.id".to_owned(), service.to_owned()),
        ("com.docker.swarm.task.id".to_owned(), line.task_id.as_str().to_owned()),
    ];
    details.extend(line.attrs.iter().cloned());
    details.sort();
    const ESCAPED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
    let pair = |(key, value): &(String, String)| {
        format!("{}={}", utf8_percent_encode(key, ESCAPED), utf8_percent_encode(value, ESCAPED))
    };
    details.iter().map(pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_a_number_or_all() {
        let read = |text: &str| read_tail(&Query::parse(text));
        assert_eq!(read("").expect("all"), None);
        assert_eq!(read("tail=all").expect("all"), None);
        assert_eq!(read("tail=0").expect("a number"), Some(0));
        for (text, why) in [
            ("tail=xx", "tail value must be a positive integer or \"all\""),
            ("tail=-1", "negative tail values not supported"),
        ] {
            assert_eq!(read(text).expect_err(why).message(), why);
        }
    }

    #[test]
    fn details_say_where_a_line_comes_from() {
        let line = LogLine {
            service_id: None,
            node_id: "00000000000000000000000n1".parse().expect("an id"),
            task_id: "00000000000000000000000t1".parse().expect("an id"),
            timestamp: Some(Timestamp::from_seconds(0)),
            source: LogSource::Stdout,
            data: Bytes::from_static(b"hello\n"),
            attrs: vec![("a b".into(), "c,d".into())],
        };
        let text = String::from_utf8_lossy(&render(&line, true, true)).into_owned();
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000000000Z a%20b=c%2Cd,\
             com.docker.swarm.node.id=00000000000000000000000n1,com.docker.swarm.service.id=,\
             com.docker.swarm.task.id=00000000000000000000000t1 hello\n"
        );
        assert_eq!(render(&line, false, false), line.data);
    }
}
