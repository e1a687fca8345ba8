//! `POST /services/create`.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;
use shoal_cluster::{Command, Outcome, Store};
use shoal_engine::events::ObjectType;
use shoal_engine::names;
use shoal_model::Kind;
use shoal_model::swarm::{ServiceSpec, Shared};

use super::super::body::{self, JsonBody};
use super::super::error::{ApiError, Result};
use super::super::front::{App, Front};
use super::super::registry_auth;
use super::super::swarm::execute;
use super::super::swarm_spec::{ServiceDocument, refuse};
use super::network_name;

/// Attempts at a free name before giving up, as for containers.
const NAME_ATTEMPTS: u32 = 40;

/// Makes a service.
pub(super) async fn create(
    State(front): App,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response> {
    let document: ServiceDocument = body::document(body).await?;
    let control = front.node.control()?;
    let mut spec = read_spec(&front, document, &headers)?;
    if spec.annotations.name.is_empty() {
        spec.annotations.name = control.read(free_name).await??;
    }
    let name = spec.annotations.name.clone();
    let outcome = execute(&control, Command::CreateService(Box::new(spec))).await?;
    let Outcome::Service(id) = outcome else {
        return Err(ApiError::new(Kind::Internal, "the swarm made something else than a service"));
    };
    front.tell(ObjectType::Service, "create", id.as_str(), &[("name", &name)]);
    Ok(body::created(&json!({ "ID": id.as_str(), "Warnings": null })))
}

/// A name no service has, for one whose creator gave none.
fn free_name(store: &Store) -> Result<String> {
    for attempt in 0..NAME_ATTEMPTS {
        let mut random = [0; 4];
        getrandom::fill(&mut random)
            .map_err(|error| ApiError::new(Kind::Internal, format!("drawing a name: {error}")))?;
        let name = names::name(random, attempt);
        if store.service_by_name(&name).is_none() {
            return Ok(name);
        }
    }
    Err(ApiError::new(Kind::Unavailable, "no free name was found for the service"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_for_a_service_without_one() {
        let name = free_name(&Store::default()).expect("a name");
        let (adjective, creature) = name.split_once('_').expect("two words");
        assert!(!adjective.is_empty() && !creature.is_empty(), "{name}");
    }
}
