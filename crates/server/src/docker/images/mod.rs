//! `/images`, and `/distribution`.
//!
//! Names of images have slashes, so the last word of the path says what is
//! wanted; the routes below split it off.

mod changes;
mod distribution;
mod history;
mod inspect;
mod list;
mod platform;
mod pull;
mod push;
mod remove;
mod tag;
mod transfer;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::HeaderMap;
use shoal_model::Kind;

pub(super) use list::read_bool;
pub(super) use list::render as render_entry;
pub(super) use platform::read_platform;
pub(super) use tag::checked;

use super::error::{ApiError, Result};
use super::front::{App, SharedFront};
use super::query::Query;

/// The routes of images.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/images/json", get(list::list))
        .route("/images/create", post(pull::create))
        .route("/images/search", get(search))
        .route("/images/get", get(transfer::save_several))
        .route("/images/load", post(transfer::load))
        .route("/images/prune", post(remove::prune))
        .route("/images/{*rest}", get(read).post(change).delete(remove::remove))
        .route("/distribution/{*rest}", get(distribution::inspect))
        .route("/commit", post(commit))
}

async fn read(front: App, Path(rest): Path<String>, query: Query) -> Result<Response> {
    match rest.rsplit_once('/') {
        Some((name, "json")) => inspect::inspect(front, name, &query).await,
        Some((name, "history")) => history::history(front, name).await,
        Some((name, "get")) => transfer::save(front, name.to_owned()).await,
        _ => Err(page_not_found()),
    }
}

async fn change(
    front: App,
    Path(rest): Path<String>,
    query: Query,
    headers: HeaderMap,
    _body: Body,
) -> Result<Response> {
    match rest.rsplit_once('/') {
        Some((name, "push")) => push::push(front, name, &query, &headers).await,
        Some((name, "tag")) => tag::tag(front, name, &query).await,
        _ => Err(page_not_found()),
    }
}

async fn search(State(_): App) -> Result<Response> {
    Err(ApiError::unsupported("searching a registry (docker search)"))
}

async fn commit() -> Result<Response> {
    Err(ApiError::unsupported("making an image of a container (docker commit)"))
}

fn page_not_found() -> ApiError {
    ApiError::new(Kind::NotFound, "page not found")
}
