//! `/tasks`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Value, json};
use shoal_cluster::Store;
use shoal_model::swarm::{ContainerStatus, NetworkAttachment, Task, TaskState, TaskStatus};
use shoal_model::{ServiceId, SwarmNodeId};
use shoal_node::LogSelector;

use super::body;
use super::error::{ApiError, Result};
use super::frames::Framing;
use super::front::{App, SharedFront};
use super::query::{Filters, Query, only};
use super::services::stream_logs;
use super::swarm_filter::{any_prefix, has_labels};
use super::swarm_spec::{render_meta, render_port, render_task_spec};
use super::version::ApiVersion;

/// The routes of tasks.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/tasks", get(list))
        .route("/tasks/{id}", get(inspect))
        .route("/tasks/{id}/logs", get(logs))
}

/// Lists tasks.
async fn list(State(front): App, query: Query) -> Result<Response> {
    let filters = query.filters()?;
    const KNOWN: &[&str] = &[
        "id",
        "name",
        "label",
        "service",
        "node",
        "desired-state",
        "runtime",
        "up-to-date",
        "_up-to-date",
    ];
    only(&filters, KNOWN)?;
    check(&filters)?;
    let choose = move |store: &Store| choose(store, &filters);
    let tasks = front.node.control()?.read(choose).await??;
    Ok(body::ok(&tasks.iter().map(|task| render(task)).collect()))
}

async fn inspect(State(front): App, Path(id): Path<String>) -> Result<Response> {
    let task = front.node.control()?.read(move |store| store.find_task(&id)).await??;
    Ok(body::ok(&render(&task)))
}

async fn logs(
    State(front): App,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let task = front.node.control()?.read(move |store| store.find_task(&id)).await??;
    let selector = LogSelector { tasks: vec![task.id.clone()], ..LogSelector::default() };
    stream_logs(front, selector, Framing::of(task.spec.container.tty), version, &query).await
}

fn check(filters: &Filters) -> Result<()> {
    for state in filters.get("desired-state").into_iter().flatten() {
        if !["running", "shutdown", "accepted"].contains(&state.as_str()) {
            return Err(ApiError::invalid(format!("invalid filter 'desired-state={state}'")));
        }
    }
    Ok(())
}

/// The tasks the filters let through; services and nodes may be named.
fn choose(store: &Store, filters: &Filters) -> Result<Vec<Arc<Task>>> {
    let mut services = BTreeSet::<ServiceId>::new();
    for name in filters.get("service").into_iter().flatten() {
        // A service that is gone may still have tasks; its id is then all there is.
        match store.find_service(name) {
            Ok(service) => drop(services.insert(service.id.clone())),
            Err(error) => match name.parse() {
                Ok(id) => drop(services.insert(id)),
                Err(_) => return Err(error.into()),
            },
        }
    }
    let mut nodes = BTreeSet::<SwarmNodeId>::new();
    for name in filters.get("node").into_iter().flatten() {
        nodes.insert(store.find_node(name)?.id.clone());
    }
    let wanted = |task: &&Arc<Task>| {
        (services.is_empty() || services.contains(&task.service_id))
            && (nodes.is_empty() || task.node_id.as_ref().is_some_and(|node| nodes.contains(node)))
            && matches(task, filters)
            && up_to_date(store, task, filters)
    };
    Ok(store.tasks().filter(wanted).cloned().collect())
}

/// The docker CLI asks for up-to-date tasks to see how far an update is.
fn up_to_date(store: &Store, task: &Task, filters: &Filters) -> bool {
    let asked = ["up-to-date", "_up-to-date"].iter().filter_map(|key| filters.get(*key)).flatten();
    asked
        .map(|value| matches!(value.as_str(), "1" | "true" | "True"))
        .all(|wanted| wanted == shoal_cluster::is_up_to_date(store, task))
}

fn matches(task: &Task, filters: &Filters) -> bool {
    let desired = |states: &Vec<String>| {
        states.iter().any(|state| match state.as_str() {
            "running" => task.desired_state <= TaskState::Running,
            "accepted" => task.desired_state == TaskState::Accepted,
            _ => task.desired_state > TaskState::Running,
        })
    };
    any_prefix(filters.get("id"), &[task.id.as_str()])
        && any_prefix(filters.get("name"), &[&task.name()])
        && has_labels(filters.get("label"), Some(&task.spec.container.labels))
        && filters.get("desired-state").is_none_or(|states| states.is_empty() || desired(states))
}

/// A task as Docker shows it.
fn render(task: &Task) -> Value {
    let mut document = render_meta(task.id.as_str(), &task.meta);
    document["Labels"] = json!({});
    document["Spec"] = render_task_spec(&task.spec);
    document["ServiceID"] = json!(task.service_id.as_str());
    if task.slot > 0 {
        document["Slot"] = json!(task.slot);
    }
    if let Some(node) = &task.node_id {
        document["NodeID"] = json!(node.as_str());
    }
    document["Status"] = render_status(&task.status);
    document["DesiredState"] = json!(task.desired_state.as_str());
    if !task.networks.is_empty() {
        document["NetworksAttachments"] = task.networks.iter().map(render_attachment).collect();
    }
    document
}

fn render_status(status: &TaskStatus) -> Value {
    let TaskStatus {
        timestamp,
        state,
        message,
        err,
        container,
        ports,
        applied_by: _,
        applied_at: _,
    } = status;
    let mut document = json!({
        "Timestamp": timestamp.rfc3339_nano(),
        "State": state.as_str(),
        "Message": message,
        "PortStatus": {},
    });
    if !err.is_empty() {
        document["Err"] = json!(err);
    }
    if let Some(ContainerStatus { container_id, pid, exit_code }) = container {
        document["ContainerStatus"] =
            json!({ "ContainerID": container_id, "PID": pid, "ExitCode": exit_code });
    }
    if !ports.is_empty() {
        document["PortStatus"]["Ports"] = ports.iter().map(render_port).collect();
    }
    document
}

fn render_attachment(attachment: &NetworkAttachment) -> Value {
    let NetworkAttachment { network, addresses, aliases: _, driver_options: _ } = attachment;
    json!({
        "Network": {
            "ID": network,
            "Version": {},
            "Spec": { "Name": network, "DriverConfiguration": {}, "Scope": "swarm" },
            "DriverState": { "Name": network },
            "IPAMOptions": { "Driver": {} },
        },
        "Addresses": addresses,
    })
}
