//! `/containers`.

mod attach;
mod config;
mod create;
mod host;
mod host_view;
mod inspect;
mod lifecycle;
mod list;
mod logs;
mod mount;
mod network;
mod policy;
mod stats;
mod wait;

use axum::Router;
use axum::response::Response;
use axum::routing::{delete, get, post};

pub(super) use attach::{read_keys, session};
pub(super) use host::read_size;
pub(super) use lifecycle::size;
pub(super) use list::{read_names, read_prune, render as render_entry};
pub(super) use network::EndpointDocument;

use super::error::{ApiError, Result};
use super::front::SharedFront;

/// The routes of containers.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/containers/json", get(list::list))
        .route("/containers/create", post(create::create))
        .route("/containers/prune", post(list::prune))
        .route("/containers/{id}", delete(lifecycle::remove))
        .route("/containers/{id}/json", get(inspect::inspect))
        .route("/containers/{id}/start", post(lifecycle::start))
        .route("/containers/{id}/stop", post(lifecycle::stop))
        .route("/containers/{id}/restart", post(lifecycle::restart))
        .route("/containers/{id}/kill", post(lifecycle::kill))
        .route("/containers/{id}/pause", post(lifecycle::pause))
        .route("/containers/{id}/unpause", post(lifecycle::unpause))
        .route("/containers/{id}/rename", post(lifecycle::rename))
        .route("/containers/{id}/resize", post(lifecycle::resize))
        .route("/containers/{id}/update", post(lifecycle::update))
        .route("/containers/{id}/wait", post(wait::wait))
        .route("/containers/{id}/logs", get(logs::logs))
        .route("/containers/{id}/attach", post(attach::attach))
        .route("/containers/{id}/attach/ws", get(attach::websocket))
        .route("/containers/{id}/stats", get(stats::stats))
        .route("/containers/{id}/top", get(stats::top))
        .route("/containers/{id}/archive", get(archive).put(archive).head(archive))
        .route("/containers/{id}/changes", get(changes))
        .route("/containers/{id}/export", get(export))
}

async fn archive() -> Result<Response> {
    Err(ApiError::unsupported("copying files from and to containers (docker cp)"))
}

async fn changes() -> Result<Response> {
    Err(ApiError::unsupported("listing a container's changes (docker diff)"))
}

async fn export() -> Result<Response> {
    Err(ApiError::unsupported("exporting a container (docker export)"))
}
