//! `POST /services/{id}/update`.

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;
use shoal_cluster::Command;
use shoal_cluster::commands::RegistryAuthFrom;
use shoal_engine::events::ObjectType;

use super::super::body::{self, JsonBody};
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::Query;
use super::super::swarm::{execute, read_version};
use super::super::swarm_events::of_service;
use super::super::swarm_spec::ServiceDocument;
use super::create::read_spec;

/// Changes a service, or returns it to what it was before.
pub(super) async fn update(
    State(front): App,
    Path(id): Path<String>,
    query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response> {
    let document: ServiceDocument = body::document(body).await?;
    let version = read_version(&query, "service")?;
    let control = front.node.control()?;
    let service = control.read(move |store| store.find_service(&id)).await??;
    let id = service.id.clone();
    let command = match query.get("rollback") {
        Some("previous") => Command::RollBackService { service: id.clone(), version },
        Some("none") | None => Command::UpdateService {
            service: id.clone(),
            version,
            spec: Box::new(read_spec(&front, document, &headers)?),
            registry_auth_from: auth_from(&query)?,
        },
        Some(other) => {
            return Err(ApiError::invalid(format!("unrecognized rollback option {other}")));
        }
    };
    execute(&control, command).await?;
    // Removed meanwhile, it is told as it was.
    let changed = control.read(|store| store.service(&id).cloned()).await?;
    let changed = of_service(&service, changed.as_deref().unwrap_or(&service));
    front.tell(ObjectType::Service, "update", id.as_str(), &changed);
    Ok(body::ok(&json!({ "Warnings": null })))
}

fn auth_from(query: &Query) -> Result<RegistryAuthFrom> {
    match query.get("registryAuthFrom").unwrap_or("spec") {
        "spec" => Ok(RegistryAuthFrom::Spec),
        "previous-spec" => Ok(RegistryAuthFrom::PreviousSpec),
        other => Err(ApiError::invalid(format!("unsupported registryAuthFrom value {other:?}"))),
    }
}
