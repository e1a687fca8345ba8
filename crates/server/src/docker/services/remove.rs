//! `DELETE /services/{id}`.

use axum::extract::{Path, State};
use axum::response::Response;
use shoal_cluster::Command;
use shoal_engine::events::ObjectType;

use super::super::body;
use super::super::error::Result;
use super::super::front::App;
use super::super::swarm::execute;

/// Removes a service and its tasks.
pub(super) async fn remove(State(front): App, Path(id): Path<String>) -> Result<Response> {
    let control = front.node.control()?;
    let service = control.read(move |store| store.find_service(&id)).await??;
    execute(&control, Command::RemoveService(service.id.clone())).await?;
    let name = service.spec.annotations.name.as_str();
    front.tell(ObjectType::Service, "remove", service.id.as_str(), &[("name", name)]);
    Ok(body::empty())
}
