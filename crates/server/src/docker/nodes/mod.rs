//! `/nodes`.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use shoal_cluster::{Command, Store};
use shoal_engine::events::ObjectType;
use shoal_model::swarm::Node;

use super::body::{self, JsonBody};
use super::error::{ApiError, Result};
use super::front::{App, SharedFront};
use super::query::{Filters, Query, only};
use super::swarm::{execute, read_version};
use super::swarm_events::{name, of_node};
use super::swarm_filter::{any_prefix, has_labels};
use super::swarm_spec::node::{NodeDocument, render_node};

/// The routes of nodes.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/nodes", get(list))
        .route("/nodes/{id}", get(inspect).delete(remove))
        .route("/nodes/{id}/update", post(update))
}

async fn list(State(front): App, query: Query) -> Result<Response> {
    let filters = query.filters()?;
    only(&filters, &["id", "name", "label", "engine.label", "node.label", "membership", "role"])?;
    check(&filters)?;
    let nodes: Vec<_> =
        front.node.control()?.read(|store| store.nodes().cloned().collect()).await?;
    let wanted = nodes.iter().filter(|node| matches(node, &filters));
    Ok(body::ok(&wanted.map(|node| render_node(node)).collect()))
}

async fn inspect(State(front): App, Path(id): Path<String>) -> Result<Response> {
    let node = front.node.control()?.read(move |store| store.find_node(&id)).await??;
    Ok(body::ok(&render_node(&node)))
}

async fn update(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
    body: JsonBody,
) -> Result<Response> {
    let document: NodeDocument = body::document(body).await?;
    let version = read_version(&query, "node")?;
    let control = front.node.control()?;
    let node = control.read(move |store| store.find_node(&id)).await??;
    let command =
        Command::UpdateNode { node: node.id.clone(), version, spec: document.into_domain()? };
    execute(&control, command).await?;
    // Removed meanwhile, it is told as it was.
    let id = node.id.clone();
    let changed = control.read(move |store| store.node(&id).cloned()).await?;
    let changed = of_node(&node, changed.as_deref().unwrap_or(&node));
    front.tell(ObjectType::Node, "update", node.id.as_str(), &changed);
    Ok(body::empty())
}

async fn remove(State(front): App, Path(id): Path<String>, query: Query) -> Result<Response> {
    let control = front.node.control()?;
    let node = control.read(move |store: &Store| store.find_node(&id)).await??;
    let command = Command::RemoveNode { node: node.id.clone(), force: query.flag("force") };
    execute(&control, command).await?;
    front.tell(ObjectType::Node, "remove", node.id.as_str(), &[("name", name(&node))]);
    Ok(body::empty())
}

fn check(filters: &Filters) -> Result<()> {
    let known = [("membership", ["accepted", "pending"]), ("role", ["manager", "worker"])];
    for (key, words) in known {
        for value in filters.get(key).into_iter().flatten() {
            if !words.contains(&value.as_str()) {
                return Err(ApiError::invalid(format!("invalid filter '{key}={value}'")));
            }
        }
    }
    Ok(())
}

fn matches(node: &Node, filters: &Filters) -> bool {
    let engine = node.description.as_ref().map(|description| &description.engine.labels);
    let role = filters.get("role");
    any_prefix(filters.get("id"), &[node.id.as_str()])
        && any_prefix(filters.get("name"), &[node.hostname(), &node.spec.annotations.name])
        && has_labels(filters.get("node.label"), Some(&node.spec.annotations.labels))
        && has_labels(filters.get("label"), engine)
        && has_labels(filters.get("engine.label"), engine)
        && role.is_none_or(|roles| roles.iter().any(|role| role == node.role.as_str()))
        && filters.get("membership").is_none_or(|words| words.iter().any(|word| word == "accepted"))
}
