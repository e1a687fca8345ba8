//! The Docker Engine API, versions 1.24 to 1.50.
//!
//! A handler extracts, converts, calls and renders; it decides nothing. The
//! resources have a folder each. Requests are read leniently as Docker reads
//! them (`wire`, `query`), and an option Shoal does not have is refused by
//! name, never ignored.

mod body;
mod build;
mod build_cache;
mod builder;
mod containers;
mod detach;
mod documents;
mod download;
mod error;
mod exec;
mod frames;
mod front;
mod hijack;
mod images;
mod networks;
mod nodes;
mod progress;
mod query;
mod registry_auth;
mod serve;
mod services;
mod swarm;
mod swarm_events;
mod swarm_files;
mod swarm_filter;
mod swarm_spec;
mod system;
mod tasks;
mod time;
mod upload;
mod version;
mod volumes;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use tower::ServiceExt;

pub use builder::{BuildAuth, Builder, CacheFilter, CachePruned, CacheRecord};
pub use detach::{DEFAULT_DETACH_KEYS, DetachKeys, DetachKeysError, Input};
pub use front::{About, Front};
pub use registry_auth::parse_registry_auth;
pub use serve::serve;

use front::SharedFront;

/// The whole API as one router.
pub fn router(front: Arc<Front>) -> Router {
    let server = format!("Shoal/{} (linux)", front.about.version);
    let server = HeaderValue::from_str(&server).unwrap_or(HeaderValue::from_static("Shoal"));
    let routes = routes(front);
    Router::new().fallback(move |request: Request| {
        let (routes, server) = (routes.clone(), server.clone());
        async move { stamp(dispatch(routes, request).await, server) }
    })
}

fn routes(front: Arc<Front>) -> Router {
    let router: Router<SharedFront> = Router::new()
        .merge(system::routes())
        .merge(containers::routes())
        .merge(exec::routes())
        .merge(images::routes())
        .merge(build::routes())
        .merge(networks::routes())
        .merge(volumes::routes())
        .merge(swarm::routes())
        .merge(swarm_files::routes())
        .merge(nodes::routes())
        .merge(services::routes())
        .merge(tasks::routes());
    router.fallback(not_found).method_not_allowed_fallback(not_found).with_state(front)
}

/// Takes the version off the path and answers the rest.
async fn dispatch(routes: Router, mut request: Request) -> Response {
    let (version, uri) = match version::split(request.uri()) {
        Ok(split) => split,
        Err(error) => return error.into_response(),
    };
    *request.uri_mut() = uri;
    request.extensions_mut().insert(version);
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn not_found() -> Response {
    let body = serde_json::json!({ "message": "page not found" });
    body::answer(StatusCode::NOT_FOUND, &body)
}

/// The headers every answer of Docker has.
fn stamp(mut response: Response, server: HeaderValue) -> Response {
    let headers = response.headers_mut();
    let version = HeaderValue::from_str(&version::NEWEST.to_string());
    headers.insert("Api-Version", version.unwrap_or(HeaderValue::from_static("1.50")));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert(http::header::SERVER, server);
    response
}
