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

/// Filters by an object's id or name that the engine does not look at: these objects are the
/// cluster's.
const OF_THE_CLUSTER: [&str; 6] = ["config", "daemon", "node", "plugin", "secret", "service"];

/// Sends what happened and what happens, until `until` or the client leaves.
pub(super) async fn events(State(front): App, query: Query) -> Result<Response> {
    let now = front.now();
    let time = |key: &str| query.get(key).map(|text| parse_until(text, now)).transpose();
    let (since, until) = (time("since")?, time("until")?);
    let filters = query.filters()?;
    let filter = read_filter(&filters)?;
    // Whoever names an end wants to see what is remembered from before it.
    let since = since.or(until.map(|_| Timestamp::EPOCH));
    let listener = front.engine.events().subscribe(since);
    let end = until.map(|until| tokio::time::Instant::now() + until.since(now));
    let state = (listener, filter, filters, front.stop.clone());
    let lines = stream::unfold(state, move |(mut listener, filter, filters, stop)| async move {
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
            if filter.matches(&event) && names(&filters, &event) {
                return Some((render(&event), (listener, filter, filters, stop)));
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
    const OF_THE_ENGINE: [&str; 8] =
        ["container", "event", "image", "label", "network", "scope", "type", "volume"];
    only(filters, &[&OF_THE_ENGINE[..], &OF_THE_CLUSTER[..]].concat())?;
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

/// Whether each filter [`OF_THE_CLUSTER`] names the event's object, by its name or how its id
/// begins.
fn names(filters: &Filters, event: &Event) -> bool {
    let is_named = |wanted: &String| {
        event.id.starts_with(wanted.as_str()) || event.attributes.get("name") == Some(wanted)
    };
    OF_THE_CLUSTER.iter().filter_map(|key| Some((*key, filters.get(*key)?))).all(|(key, wanted)| {
        wanted.is_empty() || event.object.as_str() == key && wanted.iter().any(is_named)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_by_service_leaves_out_everything_else() {
        let event = |object, id: &str, name: &str| Event {
            time: Timestamp::EPOCH,
            object,
            action: "create".to_owned(),
            id: id.to_owned(),
            attributes: [("name".to_owned(), name.to_owned())].into(),
        };
        let filters = |values: &[&str]| -> Filters {
            let query = json!({ "service": values }).to_string();
            let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
            Query::parse(&format!("filters={query}")).filters().expect("filters")
        };
        let web = event(ObjectType::Service, "abc", "web");
        for wanted in [&["web"][..], &["ab"], &["other", "abc"], &[]] {
            assert!(names(&filters(wanted), &web), "{wanted:?}");
        }
        assert!(!names(&filters(&["other"]), &web));
        assert!(!names(&filters(&["web"]), &event(ObjectType::Container, "abc", "web")));
    }
}
