//! `GET /events`.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use serde_json::{Value, json};
use shoal_engine::events::{Event, EventFilter, ObjectType};
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::Result;
use super::super::front::App;
use super::super::query::{Filters, Query, only};
use super::super::time::parse_until;

/// Sends what happened and what happens, until `until` or the client leaves.
pub(super) async fn events(State(front): App, query: Query) -> Result<Response> {
    let now = front.now();
    let time = |key: &str| query.get(key).map(|text| parse_until(text, now)).transpose();
    let (since, until) = (time("since")?, time("until")?);
    let filter = read_filter(&query.filters()?)?;
    let listener = front.engine.events().subscribe(since);
    let end = until.map(|until| tokio::time::Instant::now() + until.since(now));
    let state = (listener, filter, front.stop.clone());
    let lines = stream::unfold(state, move |(mut listener, filter, stop)| async move {
        loop {
            let event = tokio::select! {
                biased;
                event = listener.next() => event?,
                () = at(end) => return None,
                () = stop.cancelled() => return None,
            };
            if until.is_some_and(|until| event.time > until) {
                return None;
            }
            if filter.matches(&event) {
                return Some((render(&event), (listener, filter, stop)));
            }
        }
    });
    Ok(body::lines(lines))
}

async fn at(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn read_filter(filters: &Filters) -> Result<EventFilter> {
    const KNOWN: &[&str] = &[
        "event",
        "type",
        "container",
        "image",
        "label",
        "network",
        "volume",
        "scope",
        "daemon",
        "node",
        "service",
        "secret",
        "config",
        "plugin",
    ];
    only(filters, KNOWN)?;
    let set = |key: &str| -> BTreeSet<String> {
        filters.get(key).into_iter().flatten().cloned().collect()
    };
    Ok(EventFilter {
        event: set("event"),
        object: set("type"),
        container: set("container"),
        image: set("image"),
        label: set("label"),
        network: set("network"),
        volume: set("volume"),
        scope: set("scope"),
    })
}

fn render(event: &Event) -> Value {
    let Event { time, object, action, id, attributes } = event;
    let scope = match object {
        ObjectType::Service | ObjectType::Node | ObjectType::Secret | ObjectType::Config => "swarm",
        _ => "local",
    };
    let mut document = json!({
        "Type": object.as_str(),
        "Action": action,
        "Actor": { "ID": id, "Attributes": attributes },
        "scope": scope,
        "time": Timestamp::seconds(*time),
        "timeNano": time.nanos(),
    });
    if matches!(object, ObjectType::Container | ObjectType::Image) {
        // The oldest clients look here.
        document["status"] = json!(action);
        document["id"] = json!(id);
        if let Some(image) = attributes.get("image") {
            document["from"] = json!(image);
        }
    }
    document
}
