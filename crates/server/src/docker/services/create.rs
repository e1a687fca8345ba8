//! `POST /services/create`.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;
use shoal_cluster::{Command, Outcome};
use shoal_engine::events::ObjectType;
use shoal_model::Kind;
use shoal_model::swarm::{ServiceSpec, Shared};

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::front::{App, Front};
use super::super::registry_auth;
use super::super::swarm::execute;
use super::super::swarm_spec::{ServiceDocument, refuse};
use super::network_name;

/// Makes a service.
pub(super) async fn create(State(front): App, headers: HeaderMap, body: Body) -> Result<Response> {
    let document: ServiceDocument = body::document(body).await?;
    let control = front.node.control()?;
    let spec = read_spec(&front, document, &headers)?;
    let name = spec.annotations.name.clone();
    let outcome = execute(&control, Command::CreateService(Box::new(spec))).await?;
    let Outcome::Service(id) = outcome else {
        return Err(ApiError::new(Kind::Internal, "the swarm made something else than a service"));
    };
    front.tell(ObjectType::Service, "create", id.as_str(), &[("name", &name)]);
    Ok(body::created(&json!({ "ID": id.as_str(), "Warnings": null })))
}

/// The spec of a request with the credentials its tasks pull with.
pub(super) fn read_spec(
    front: &Front,
    document: ServiceDocument,
    headers: &HeaderMap,
) -> Result<ServiceSpec> {
    let mut spec = document.into_domain(&|name| network_name(front, name))?;
    refuse(&spec)?;
    if let Some(auth) = registry_auth::raw(headers) {
        // Refused now rather than on every node later.
        registry_auth::from_text(auth)?;
        Shared::make_mut(&mut spec.task).container.registry_auth = auth.to_owned();
    }
    Ok(spec)
}
