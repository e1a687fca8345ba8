//! `/_ping`, `/version`, `/info`, `/auth`, `/events`, `/system/df`, `/plugins`.

mod auth;
mod disk;
mod events;
mod host;
mod info;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::body;
use super::error::{ApiError, Result};
use super::front::{App, SharedFront};
use super::version::{NEWEST, OLDEST};

/// The routes of the daemon itself.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(info::info))
        .route("/auth", post(auth::auth))
        .route("/events", get(events::events))
        .route("/system/df", get(disk::disk_use))
        .route("/plugins", get(plugins))
        .route("/session", post(session))
        .route("/grpc", post(session))
}

/// `GET` and `HEAD /_ping`: how a client finds out what it speaks with.
async fn ping(State(front): App, method: Method) -> Response {
    let swarm = match front.node.info().await {
        info if info.control_available => "active/manager".to_owned(),
        info if info.state.as_str() == "active" => "active/worker".to_owned(),
        info => info.state.as_str().to_owned(),
    };
    let body = if method == Method::HEAD { "" } else { "OK" };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    // The classic builder: what a CLI with buildx must not expect BuildKit of.
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    if let Ok(swarm) = HeaderValue::from_str(&swarm) {
        headers.insert(HeaderName::from_static("swarm"), swarm);
    }
    response
}

async fn version(State(front): App) -> Result<Response> {
    let host = front.blocking(|_| Ok::<_, ApiError>(host::Host::read())).await?;
    let version = &front.about.version;
    let details = json!({
        "ApiVersion": NEWEST.to_string(),
        "MinAPIVersion": OLDEST.to_string(),
        "Os": "linux",
        "Arch": host.architecture,
        "KernelVersion": host.kernel,
        "Experimental": "false",
    });
    Ok(body::ok(&json!({
        "Platform": { "Name": "Shoal" },
        "Components": [{ "Name": "Engine", "Version": version, "Details": details }],
        "Version": version,
        "ApiVersion": NEWEST.to_string(),
        "MinAPIVersion": OLDEST.to_string(),
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": host.architecture,
        "KernelVersion": host.kernel,
        "BuildTime": "",
    })))
}

async fn plugins() -> Response {
    body::ok(&Value::Array(Vec::new()))
}

/// Where clients with buildx look for BuildKit.
async fn session() -> Result<Response> {
    Err(ApiError::unsupported(
        "building with BuildKit (set DOCKER_BUILDKIT=0 for the classic builder)",
    ))
}
