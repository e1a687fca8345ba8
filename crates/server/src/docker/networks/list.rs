//! `GET /networks` and `POST /networks/prune`.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use shoal_engine::events::ObjectType;
use shoal_model::Timestamp;
use shoal_network::{Network, NetworkView};

use super::super::body;
use super::super::containers::read_names;
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::images::read_bool;
use super::super::query::{Filters, Query, only};
use super::super::time::parse_until;
use super::or_null;
use super::render::render;

/// Lists networks.
pub(super) async fn list(State(front): App, query: Query) -> Result<Response> {
    let filters = query.filters()?;
    only(&filters, &["driver", "id", "label", "name", "scope", "type", "dangling"])?;
    check_type(&filters)?;
    let dangling = filters.get("dangling").and_then(|values| values.first());
    let dangling = dangling.map(|value| read_bool("dangling", value)).transpose()?;
    let names = read_names(&filters)?;
    let wanted = |view: &&NetworkView| {
        matches(&view.network, &filters)
            && (names.is_empty() || names.iter().any(|name| name.matches(&view.network.name)))
            && dangling.is_none_or(|dangling| dangling == is_dangling(view))
    };
    let views = front.networks.list();
    Ok(body::ok(&views.iter().filter(wanted).map(|view| render(view, false)).collect()))
}

/// Removes networks no running container is in.
pub(crate) async fn prune(State(front): App, query: Query) -> Result<Response> {
    let filters = query.filters()?;
    only(&filters, &["until", "label", "label!"])?;
    let until = filters.get("until").and_then(|values| values.first());
    let until = until.map(|text| parse_until(text, front.now())).transpose()?;
    let mut removed = Vec::new();
    for view in front.networks.list() {
        if !is_dangling(&view)
            || !old_enough(&view.network, until)
            || !labelled(&view.network, &filters)
        {
            continue;
        }
        // A container may have joined meanwhile; then it stays.
        if let Ok(network) = front.networks.remove(view.network.id.as_str()).await {
            let facts = [("name", network.name.as_str()), ("type", network.driver.as_str())];
            front.tell(ObjectType::Network, "destroy", network.id.as_str(), &facts);
            removed.push(network.name.clone());
        }
    }
    let removed = or_null(removed.is_empty(), || json!(removed));
    Ok(body::ok(&json!({ "NetworksDeleted": removed })))
}

fn check_type(filters: &Filters) -> Result<()> {
    match filters
        .get("type")
        .into_iter()
        .flatten()
        .find(|kind| !matches!(kind.as_str(), "custom" | "builtin"))
    {
        Some(kind) => Err(ApiError::invalid(format!("invalid filter: 'type'='{kind}'"))),
        None => Ok(()),
    }
}

fn is_dangling(view: &NetworkView) -> bool {
    !view.network.is_predefined() && view.endpoints.is_empty()
}

fn old_enough(network: &Network, until: Option<Timestamp>) -> bool {
    until.is_none_or(|until| network.created < until)
}

fn matches(network: &Network, filters: &Filters) -> bool {
    let any = |key: &str, test: &dyn Fn(&str) -> bool| {
        filters
            .get(key)
            .is_none_or(|values| values.is_empty() || values.iter().any(|value| test(value)))
    };
    any("driver", &|driver| network.driver.as_str() == driver)
        && any("id", &|id| network.id.as_str().contains(id))
        && any("scope", &|scope| network.scope() == scope)
        && any("type", &|kind| (kind == "builtin") == network.is_predefined())
        && labelled(network, filters)
}

fn labelled(network: &Network, filters: &Filters) -> bool {
    let has = |label: &String| match label.split_once('=') {
        Some((key, value)) => network.labels.get(key).is_some_and(|found| found == value),
        None => network.labels.contains_key(label),
    };
    let values = |key: &str| filters.get(key).into_iter().flatten();
    values("label").all(has) && !values("label!").any(has)
}
