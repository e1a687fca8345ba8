//! `GET /containers/json` and `POST /containers/prune`.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_engine::domain::{ContainerSummary, ListFilter, NamePattern, PruneFilter};
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::images::read_bool;
use super::super::query::{Filters, Query, only};
use super::super::time::parse_until;
use super::{mount, network};

/// Lists containers.
pub(crate) async fn list(State(front): App, query: Query) -> Result<Response> {
    let filter = read_filter(&query)?;
    let containers = front.engine.containers();
    let mut entries = Vec::new();
    for summary in containers.list(&filter)? {
        let mut entry = render(&summary);
        if query.flag("size")
            && let Ok(size) = containers.disk_use(summary.id.as_str()).await
        {
            // A container removed meanwhile is shown without its size.
            entry["SizeRw"] = json!(size.written_bytes);
            entry["SizeRootFs"] = json!(size.total_bytes);
        }
        entries.push(entry);
    }
    Ok(body::ok(&Value::Array(entries)))
}

/// Removes containers that do not run.
pub(crate) async fn prune(State(front): App, query: Query) -> Result<Response> {
    let filter = read_prune(&query.filters()?, front.now())?;
    let pruned = front.engine.containers().prune(&filter).await?;
    let removed = if pruned.removed.is_empty() { Value::Null } else { json!(pruned.removed) };
    Ok(body::ok(&json!({
        "ContainersDeleted": removed, "SpaceReclaimed": pruned.reclaimed_bytes,
    })))
}

/// Reads the filters all prunes have in common.
///
/// # Errors
/// `Invalid` for another filter or a time that is none.
pub(crate) fn read_prune(filters: &Filters, now: Timestamp) -> Result<PruneFilter> {
    only(filters, &["until", "label", "label!", "all"])?;
    let values = |key: &str| filters.get(key).cloned().unwrap_or_default();
    let until = values("until").first().map(|text| parse_until(text, now)).transpose()?;
    Ok(PruneFilter {
        until,
        label: values("label").into_iter().collect(),
        label_not: values("label!").into_iter().collect(),
        all: values("all").iter().any(|value| matches!(value.as_str(), "1" | "true" | "True")),
    })
}

fn read_filter(query: &Query) -> Result<ListFilter> {
    const KNOWN: &[&str] = &[
        "id",
        "name",
        "label",
        "status",
        "exited",
        "ancestor",
        "volume",
        "network",
        "publish",
        "expose",
        "health",
        "before",
        "since",
        "is-task",
        "isolation",
    ];
    let filters = query.filters()?;
    only(&filters, KNOWN)?;
    let set = |key: &str| -> BTreeSet<String> {
        filters.get(key).into_iter().flatten().cloned().collect()
    };
    let first = |key: &str| filters.get(key).and_then(|values| values.first()).cloned();
    let exited = set("exited").into_iter().map(|code| {
        code.parse::<i64>()
            .map_err(|_| ApiError::invalid(format!("invalid filter 'exited={code}'")))
    });
    let limit = query.int("limit")?.filter(|limit| *limit > 0);
    Ok(ListFilter {
        all: query.flag("all"),
        limit: limit.and_then(|limit| usize::try_from(limit).ok()),
        id: set("id"),
        name: read_names(&filters)?,
        label: set("label"),
        status: set("status"),
        exited: exited.collect::<Result<_>>()?,
        ancestor: set("ancestor"),
        volume: set("volume"),
        network: set("network"),
        publish: set("publish"),
        expose: set("expose"),
        health: set("health"),
        before: first("before").or_else(|| query.get("before").map(str::to_owned)),
        since: first("since").or_else(|| query.get("since").map(str::to_owned)),
        is_task: first("is-task").map(|value| read_bool("is-task", &value)).transpose()?,
    })
}

/// The filter `name` of containers, networks and volumes.
///
/// # Errors
/// `Invalid` for what is no regular expression.
pub(crate) fn read_names(filters: &Filters) -> Result<Vec<NamePattern>> {
    let names = filters.get("name").into_iter().flatten();
    Ok(names.map(|name| NamePattern::parse(name)).collect::<Result<_, _>>()?)
}

/// One container as a list shows it.
pub(crate) fn render(summary: &ContainerSummary) -> Value {
    let ContainerSummary {
        id,
        name,
        image,
        image_id,
        command,
        created_at,
        status,
        status_text,
        labels,
        ports,
        network_mode,
        networks,
        mounts,
    } = summary;
    json!({
        "Id": id.as_str(),
        "Names": [format!("/{name}")],
        "Image": image,
        "ImageID": image_id.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        "Command": command,
        "Created": created_at.seconds(),
        "Ports": network::summarise_ports(ports),
        "Labels": labels,
        "State": status.as_str(),
        "Status": status_text,
        "HostConfig": { "NetworkMode": network_mode },
        "NetworkSettings": { "Networks": network::render_networks(networks) },
        "Mounts": mounts.iter().filter_map(mount::render_point).collect::<Vec<_>>(),
    })
}
