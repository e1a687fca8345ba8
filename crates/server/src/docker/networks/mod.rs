//! `/networks`.

mod create;
mod list;
mod render;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use shoal_engine::events::ObjectType;
use shoal_model::Kind;

use super::body::{self, JsonBody};
use super::containers::EndpointDocument;
use super::error::{ApiError, Result};
use super::front::{App, SharedFront};
use super::query::Query;
use super::wire::wire;

pub(super) use list::prune;

/// The routes of networks.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/networks", get(list::list))
        .route("/networks/create", post(create::create))
        .route("/networks/prune", post(prune))
        .route("/networks/{id}", get(inspect).delete(remove))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
}

async fn inspect(State(front): App, Path(id): Path<String>, query: Query) -> Result<Response> {
    let view = front.networks.inspect(&id)?;
    let mut document = render::render(&view, true);
    match query.get("scope") {
        None | Some("local") => {}
        // Every node has its own `host` and `bridge`; services may name them.
        Some("swarm") if matches!(view.network.name.as_str(), "host" | "bridge") => {
            document["Scope"] = json!("swarm");
        }
        Some(_) => return Err(ApiError::new(Kind::NotFound, format!("network {id} not found"))),
    }
    Ok(body::ok(&document))
}

async fn remove(State(front): App, Path(id): Path<String>) -> Result<Response> {
    let network = front.networks.remove(&id).await?;
    let facts = [("name", network.name.as_str()), ("type", network.driver.as_str())];
    front.tell(ObjectType::Network, "destroy", network.id.as_str(), &facts);
    Ok(body::no_content())
}

wire!(
    /// `POST /networks/{id}/connect` and `/disconnect`.
    ConnectDocument {
        container: String = "Container",
        endpoint: EndpointDocument = "EndpointConfig",
        force: bool = "Force",
    }
);

async fn connect(State(front): App, Path(id): Path<String>, body: JsonBody) -> Result<Response> {
    let document: ConnectDocument = body::document(body).await?;
    let options = document.endpoint.into_domain()?;
    front.engine.containers().connect(&document.container, &id, options).await?;
    Ok(body::empty())
}

async fn disconnect(State(front): App, Path(id): Path<String>, body: JsonBody) -> Result<Response> {
    let document: ConnectDocument = body::document(body).await?;
    front.engine.containers().disconnect(&document.container, &id, document.force).await?;
    Ok(body::empty())
}

/// Null for an empty list or map, as Go writes a nil one.
fn or_null(empty: bool, value: impl FnOnce() -> Value) -> Value {
    if empty { Value::Null } else { value() }
}
