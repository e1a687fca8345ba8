//! The short verbs of a container's life.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use shoal_engine::domain::{RemoveOptions, StopOptions, TerminalSize, UpdateContainer};
use shoal_model::Signal;

use super::super::body::{self, JsonBody};
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::Query;
use super::super::wire::wire;
use super::host::HostDocument;
use super::policy::{RestartDocument, read_restart};

/// `POST /containers/{id}/start`.
pub(crate) async fn start(State(front): App, Path(id): Path<String>) -> Result<Response> {
    front.engine.containers().start(&id).await?;
    Ok(body::no_content())
}

/// `POST /containers/{id}/stop`.
pub(crate) async fn stop(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    front.engine.containers().stop(&id, stop_options(&query)?).await?;
    Ok(body::no_content())
}

/// `POST /containers/{id}/restart`.
pub(crate) async fn restart(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    front.engine.containers().restart(&id, stop_options(&query)?).await?;
    Ok(body::no_content())
}

/// `POST /containers/{id}/kill`.
pub(crate) async fn kill(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    front.engine.containers().kill(&id, signal(&query)?).await?;
    Ok(body::no_content())
}

/// `POST /containers/{id}/pause`.
pub(crate) async fn pause(State(front): App, Path(id): Path<String>) -> Result<Response> {
    front.engine.containers().pause(&id).await?;
    Ok(body::no_content())
}

/// `POST /containers/{id}/unpause`.
pub(crate) async fn unpause(State(front): App, Path(id): Path<String>) -> Result<Response> {
    front.engine.containers().unpause(&id).await?;
    Ok(body::no_content())
}

/// `POST /containers/{id}/rename`.
pub(crate) async fn rename(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    let name = query
        .get("name")
        .ok_or_else(|| ApiError::invalid("Neither old nor new names may be empty"))?;
    front.engine.containers().rename(&id, name.trim_start_matches('/')).await?;
    Ok(body::no_content())
}

/// `POST /containers/{id}/resize`.
pub(crate) async fn resize(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    front.engine.containers().resize(&id, size(&query)?).await?;
    Ok(body::empty())
}

/// `DELETE /containers/{id}`.
pub(crate) async fn remove(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
) -> Result<Response> {
    if query.flag("link") {
        return Err(ApiError::unsupported("removing a link (--link)"));
    }
    let options = RemoveOptions { force: query.flag("force"), volumes: query.flag("v") };
    front.engine.containers().remove(&id, options).await?;
    Ok(body::no_content())
}

wire!(
    /// `POST /containers/{id}/update`: the limits of a `HostConfig`.
    UpdateDocument { restart: Option<RestartDocument> = "RestartPolicy" }
);

/// `POST /containers/{id}/update`.
pub(crate) async fn update(
    State(front): App,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response> {
    let document = body::json(body).await?;
    let restart = document.get("RestartPolicy").cloned();
    let host: HostDocument = body::parse(document)?;
    let update: UpdateDocument = body::parse(json!({ "RestartPolicy": restart }))?;
    let policy = update.restart.filter(|policy| !policy.name.is_empty());
    let change = UpdateContainer {
        resources: host.resources()?,
        restart_policy: policy.as_ref().map(read_restart).transpose()?,
    };
    let updated = front.engine.containers().update(&id, change).await?;
    Ok(body::ok(&json!({ "Warnings": updated.warnings })))
}

fn stop_options(query: &Query) -> Result<StopOptions> {
    Ok(StopOptions { signal: signal(query)?, timeout_s: query.int("t")? })
}

fn signal(query: &Query) -> Result<Option<Signal>> {
    Ok(query.get("signal").map(str::parse::<Signal>).transpose()?)
}

/// The terminal size of `h` and `w`.
///
/// # Errors
/// `Invalid` when one is missing or no terminal has it.
pub(crate) fn size(query: &Query) -> Result<TerminalSize> {
    let side = |key: &str| {
        let value = query.int(key)?.unwrap_or_default();
        u16::try_from(value)
            .map_err(|_| ApiError::invalid(format!("invalid terminal size {key}={value}")))
    };
    Ok(TerminalSize { rows: side("h")?, columns: side("w")? })
}
