//! A registry: the OCI distribution specification over a directory.
//!
//! ```text
//! HTTP ── route ── handler (blobs, uploads, manifests, lists) ── storage
//! ```
//!
//! Content appears under its digest by a rename, after its sum was checked; a
//! kill at any moment leaves either the old state or the new one. This module
//! knows nothing of the daemon: it is as well at home in a container of its
//! own.

mod auth;
mod blobs;
mod error;
mod lists;
mod manifests;
mod range;
mod route;
mod storage;
mod uploads;

use std::{io, path::Path, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use auth::{Users, UsersError};
use error::{Code, RegistryError};
use route::Route;
use storage::Storage;
pub use storage::{Garbage, GarbageOptions, collect_garbage};

/// Says to old clients which protocol this is.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Says which content was sent or stored.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A registry over one directory. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    storage: Arc<Storage>,
    users: Arc<Users>,
}

impl Registry {
    /// Opens or makes the registry in `root`, and removes what no repository
    /// holds. With `users` not empty, each request must name one of them.
    ///
    /// # Errors
    /// When the directory cannot be read or written, or another process serves it.
    pub fn open(root: &Path, users: Users) -> io::Result<Self> {
        Ok(Self { storage: Arc::new(Storage::open(root)?), users: Arc::new(users) })
    }
}

/// The registry as a service; serves `/v2/` and answers 404 elsewhere.
pub fn router(registry: Registry) -> Router {
    Router::new().fallback(handle).with_state(registry)
}

/// Serves until `stop` is cancelled; requests under way are finished.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    stop: CancellationToken,
) -> io::Result<()> {
    axum::serve(listener, router(registry)).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn handle(State(registry): State<Registry>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let outcome = dispatch(&registry, request).await;
    let mut response = outcome.unwrap_or_else(IntoResponse::into_response);
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    tracing::debug!(%method, path, status = response.status().as_u16(), "registry request");
    response
}

/// The table of everything a registry can do.
async fn dispatch(registry: &Registry, request: Request) -> Result<Response, RegistryError> {
    let method = request.method().clone();
    let route = Route::parse(request.uri().path())?;
    registry
        .users
        .check(request.headers())
        .map_err(|error| error.about(access(&method, &route)))?;
    let storage = &registry.storage;
    match (method, route) {
        (Method::GET | Method::HEAD, Route::Base) => Ok(base()),
        (Method::GET, Route::Catalog) => lists::catalog(storage, request.uri()).await,
        (Method::GET, Route::Tags(name)) => lists::tags(storage, name, request.uri()).await,
        (Method::GET, Route::Referrers(name, digest)) => {
            lists::referrers(storage, name, digest, request.uri()).await
        }
        (method @ (Method::GET | Method::HEAD), Route::Manifest(name, reference)) => {
            manifests::get(storage, name, reference, method).await
        }
        (Method::PUT, Route::Manifest(name, reference)) => {
            manifests::put(storage, name, reference, request).await
        }
        (Method::DELETE, Route::Manifest(name, reference)) => {
            manifests::delete(storage, name, reference).await
        }
        (method @ (Method::GET | Method::HEAD), Route::Blob(name, digest)) => {
            blobs::get(storage, name, digest, method, request.headers()).await
        }
        (Method::DELETE, Route::Blob(name, digest)) => blobs::delete(storage, name, digest).await,
        (Method::POST, Route::Uploads(name)) => uploads::begin(storage, name, request).await,
        (Method::GET, Route::Upload(name, id)) => uploads::status(storage, name, id).await,
        (Method::PATCH, Route::Upload(name, id)) => {
            uploads::append(storage, name, id, request).await
        }
        (Method::PUT, Route::Upload(name, id)) => uploads::finish(storage, name, id, request).await,
        (Method::DELETE, Route::Upload(name, id)) => uploads::cancel(storage, name, id).await,
        _ => Err(RegistryError::new(Code::Unsupported, "the operation is unsupported")),
    }
}

/// What a request needs, as the distribution registry words it; nothing for
/// what is of no repository.
fn access(method: &Method, route: &Route) -> Value {
    let Some(name) = route.name() else { return Value::Null };
    let actions: &[&str] = match *method {
        Method::GET | Method::HEAD => &["pull"],
        Method::DELETE => &["delete"],
        _ => &["pull", "push"],
    };
    let record = |action: &&str| json!({ "Type": "repository", "Class": "", "Name": name.as_str(), "Action": action });
    actions.iter().map(record).collect()
}

/// Clients ask for this to see whether here is a registry, and whether their
/// credentials are good.
fn base() -> Response {
    (StatusCode::OK, [("content-type", "application/json")], Body::from("{}")).into_response()
}

/// An answer without a body.
fn empty(status: StatusCode, headers: &[(HeaderName, String)]) -> Result<Response, RegistryError> {
    let mut response = Response::builder().status(status).header(header::CONTENT_LENGTH, 0);
    if status == StatusCode::NO_CONTENT {
        response = Response::builder().status(status);
    }
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let broken = |error: http::Error| RegistryError::new(Code::Unknown, error.to_string());
    response.body(Body::empty()).map_err(broken)
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(RegistryError::new(Code::Unknown, error.to_string())),
    }
}
