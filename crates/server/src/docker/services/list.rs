//! `GET /services` and `/services/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use shoal_cluster::Store;
use shoal_model::swarm::{NodeState, Service, ServiceMode, TaskState, UpdateState, UpdateStatus};

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::{Filters, Query, only};
use super::super::swarm_filter::{any_prefix, has_labels};
use super::super::swarm_spec::{render_endpoint, render_meta, render_service_spec, with_defaults};

/// How many tasks a service has and should have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    running: usize,
    desired: u64,
    completed: usize,
}

/// Lists services.
pub(super) async fn list(State(front): App, query: Query) -> Result<Response> {
    let filters = query.filters()?;
    only(&filters, &["id", "name", "label", "mode", "runtime"])?;
    check(&filters)?;
    let control = front.node.control()?;
    let services: Vec<(Arc<Service>, Counts)> = control.read(all).await?;
    let status = query.flag("status");
    let wanted = services.iter().filter(|(service, _)| matches(service, &filters));
    let render = |(service, counts): &(Arc<Service>, Counts)| {
        let mut document = render(service);
        if status {
            document["ServiceStatus"] = json!({
                "RunningTasks": counts.running,
                "DesiredTasks": counts.desired,
                "CompletedTasks": counts.completed,
            });
        }
        document
    };
    Ok(body::ok(&wanted.map(render).collect()))
}

/// One service.
pub(super) async fn inspect(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let service = front.node.control()?.read(move |store| store.find_service(&id)).await??;
    let mut document = render(&service);
    if query.flag("insertDefaults") {
        document["Spec"] = render_service_spec(&with_defaults(&service.spec));
    }
    Ok(body::ok(&document))
}

fn all(store: &Store) -> Vec<(Arc<Service>, Counts)> {
    let with_counts = |service: &Arc<Service>| (Arc::clone(service), count(store, service));
    store.services().map(with_counts).collect()
}

/// Tasks on a node that is down do not count as running.
fn count(store: &Store, service: &Service) -> Counts {
    let mut counts = Counts::default();
    for task in store.tasks_of_service(&service.id) {
        let up = task.node_id.as_ref().and_then(|id| store.node(id));
        let up = up.is_some_and(|node| node.status.state != NodeState::Down);
        if task.status.state == TaskState::Running && task.is_wanted() && up {
            counts.running += 1;
        }
        if task.status.state == TaskState::Complete {
            counts.completed += 1;
        }
        if matches!(service.spec.mode, ServiceMode::Global) && task.is_wanted() {
            counts.desired += 1;
        }
    }
    match service.spec.mode {
        ServiceMode::Replicated { replicas } => counts.desired = replicas,
        ServiceMode::ReplicatedJob { total_completions, .. } => counts.desired = total_completions,
        ServiceMode::Global | ServiceMode::GlobalJob => {}
    }
    counts
}

fn check(filters: &Filters) -> Result<()> {
    for mode in filters.get("mode").into_iter().flatten() {
        if !["replicated", "global", "replicated-job", "global-job"].contains(&mode.as_str()) {
            return Err(ApiError::invalid(format!("invalid filter 'mode={mode}'")));
        }
    }
    Ok(())
}

fn matches(service: &Service, filters: &Filters) -> bool {
    let annotations = &service.spec.annotations;
    let mode = match service.spec.mode {
        ServiceMode::Replicated { .. } => "replicated",
        ServiceMode::Global => "global",
        ServiceMode::ReplicatedJob { .. } => "replicated-job",
        ServiceMode::GlobalJob => "global-job",
    };
    let one_of = |key: &str, found: &str| {
        filters.get(key).is_none_or(|values| values.iter().any(|value| value == found))
    };
    any_prefix(filters.get("id"), &[service.id.as_str()])
        && any_prefix(filters.get("name"), &[&annotations.name])
        && has_labels(filters.get("label"), Some(&annotations.labels))
        && one_of("mode", mode)
        && one_of("runtime", "container")
}

/// A service as Docker shows it.
fn render(service: &Service) -> Value {
    let mut document = render_meta(service.id.as_str(), &service.meta);
    document["Spec"] = render_service_spec(&service.spec);
    document["Endpoint"] = render_endpoint(service.endpoint.as_ref());
    if let Some(previous) = &service.previous_spec {
        document["PreviousSpec"] = render_service_spec(previous);
    }
    if let Some(status) = &service.update_status {
        document["UpdateStatus"] = render_update(status);
    }
    document
}

fn render_update(status: &UpdateStatus) -> Value {
    let UpdateStatus { state, started_at, completed_at, message } = status;
    let mut document = json!({
        "State": UpdateState::as_str(*state),
        "StartedAt": started_at.rfc3339_nano(),
        "Message": message,
    });
    if let Some(completed) = completed_at {
        document["CompletedAt"] = json!(completed.rfc3339_nano());
    }
    document
}
