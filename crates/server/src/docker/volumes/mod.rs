//! `/volumes`.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use shoal_engine::domain::{CreateVolume, Volume, VolumeFilter};

use super::body::{self, JsonBody};
use super::containers::{read_names, read_prune};
use super::error::Result;
use super::front::{App, SharedFront};
use super::images::read_bool;
use super::query::{Query, only};
use super::wire::wire;

wire!(
    /// `POST /volumes/create`.
    CreateDocument {
        name: String = "Name",
        driver: String = "Driver",
        options: BTreeMap<String, String> = "DriverOpts",
        labels: BTreeMap<String, String> = "Labels",
    }
);

/// The routes of volumes.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/{name}", get(inspect).delete(remove))
}

async fn list(State(front): App, query: Query) -> Result<Response> {
    let filters = query.filters()?;
    only(&filters, &["name", "driver", "label", "dangling"])?;
    let set = |key: &str| filters.get(key).into_iter().flatten().cloned().collect();
    let dangling = filters.get("dangling").and_then(|values| values.first());
    let filter = VolumeFilter {
        name: read_names(&filters)?,
        driver: set("driver"),
        label: set("label"),
        dangling: dangling.map(|value| read_bool("dangling", value)).transpose()?,
    };
    let volumes: Vec<Value> = front.engine.volumes().list(&filter).iter().map(render).collect();
    Ok(body::ok(&json!({ "Volumes": volumes, "Warnings": null })))
}

async fn create(State(front): App, body: JsonBody) -> Result<Response> {
    let CreateDocument { name, driver, options, labels } = body::document(body).await?;
    let name = (!name.is_empty()).then_some(name);
    let request = CreateVolume { name, driver, labels, options };
    let volume = front.engine.volumes().create(request).await?;
    Ok(body::created(&render(&volume)))
}

async fn inspect(State(front): App, Path(name): Path<String>) -> Result<Response> {
    Ok(body::ok(&render(&front.engine.volumes().inspect(&name)?)))
}

async fn remove(State(front): App, Path(name): Path<String>, query: Query) -> Result<Response> {
    front.engine.volumes().remove(&name, query.flag("force")).await?;
    Ok(body::no_content())
}

async fn prune(State(front): App, query: Query) -> Result<Response> {
    let filter = read_prune(&query.filters()?, front.now())?;
    let pruned = front.engine.volumes().prune(&filter).await?;
    let removed = if pruned.removed.is_empty() { Value::Null } else { json!(pruned.removed) };
    Ok(body::ok(&json!({
        "VolumesDeleted": removed, "SpaceReclaimed": pruned.reclaimed_bytes,
    })))
}

/// A volume as Docker shows it.
pub(super) fn render(volume: &Volume) -> Value {
    let Volume { name, created_at, labels, options, anonymous: _, mountpoint } = volume;
    json!({
        "Name": name,
        "Driver": "local",
        "Mountpoint": mountpoint.display().to_string(),
        "CreatedAt": created_at.rfc3339_nano(),
        "Status": null,
        "Labels": labels,
        "Scope": "local",
        "Options": if options.is_empty() { Value::Null } else { json!(options) },
    })
}
