//! The short verbs of a container's life.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use shoal_engine::domain::{RemoveOptions, StopOptions, TerminalSize, UpdateContainer};
use shoal_model::Signal;

use super::super::body::{self, JsonBody};
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::Query;
use super::super::wire::{At, is_zero};
use super::host::HostDocument;
use super::policy::read_restart;

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

/// The members of a `HostConfig` an update has: its limits. The engine refuses
/// those of them that cannot change by itself.
const LIMITS: [&str; 16] = [
    "Memory",
    "MemorySwap",
    "MemoryReservation",
    "MemorySwappiness",
    "NanoCpus",
    "CpuShares",
    "CpuQuota",
    "CpuPeriod",
    "CpusetCpus",
    "CpusetMems",
    "PidsLimit",
    "Ulimits",
    "Devices",
    "DeviceCgroupRules",
    "CgroupParent",
    "RestartPolicy",
];

/// `POST /containers/{id}/update`.
pub(crate) async fn update(
    State(front): App,
    Path(id): Path<String>,
    body: JsonBody,
) -> Result<Response> {
    let change = read_update(body::json(body).await?)?;
    let updated = front.engine.containers().update(&id, change).await?;
    Ok(body::ok(&json!({ "Warnings": updated.warnings })))
}

fn read_update(document: Value) -> Result<UpdateContainer> {
    refuse_others(&document)?;
    let host: HostDocument = body::parse(document)?;
    let policy = Some(&host.restart).filter(|policy| !policy.name.is_empty());
    Ok(UpdateContainer {
        resources: host.resources()?,
        restart_policy: policy.map(read_restart).transpose()?,
    })
}

/// A `HostConfig` has more than limits; what an update cannot change it must
/// not seem to change.
fn refuse_others(document: &Value) -> Result<()> {
    let members = document.as_object().into_iter().flatten();
    for (key, value) in members {
        let known = LIMITS.iter().any(|limit| limit.eq_ignore_ascii_case(key));
        if !known && !is_zero(value) {
            return Err(At::ROOT.key(key).unsupported().into());
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_carries_limits() {
        let cli = json!({
            "CpuShares": 0, "memory": 5 << 20, "NanoCpus": 0, "CgroupParent": "",
            "BlkioWeight": 0, "BlkioWeightDevice": null, "MemorySwappiness": null,
            "OomKillDisable": null, "Ulimits": null, "Devices": null, "DeviceRequests": null,
            "restartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        });
        let change = read_update(cli).expect("an update");
        assert_eq!(change.resources.memory_bytes, Some(5 << 20));
        assert!(change.restart_policy.is_some());
    }

    #[test]
    fn an_update_of_anything_else_is_refused_by_name() {
        for (key, value, name) in [
            ("Privileged", json!(true), "Privileged (--privileged) is not supported"),
            ("ReadonlyRootfs", json!(true), "ReadonlyRootfs (--read-only) is not supported"),
            ("CapAdd", json!(["ALL"]), "CapAdd is not supported"),
            ("Binds", json!(["/:/host"]), "Binds is not supported"),
            ("BlkioWeight", json!(10), "BlkioWeight (--blkio-weight) is not supported"),
        ] {
            let error = read_update(json!({ key: value, "Memory": 5 << 20 })).expect_err(name);
            assert_eq!(error.message(), name);
            assert_eq!(error.kind(), shoal_model::Kind::NotImplemented);
        }
    }
}
