//! `POST /auth`: whether a registry takes these credentials.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::super::body::{self, JsonBody};
use super::super::error::Result;
use super::super::front::App;
use super::super::registry_auth::AuthDocument;

/// Asks the registry.
pub(super) async fn auth(State(front): App, body: JsonBody) -> Result<Response> {
    let document: AuthDocument = body::document(body).await?;
    let registry = registry_of(&document.server);
    front.images.login(&registry, &document.into_domain()?).await?;
    Ok(body::ok(&json!({ "Status": "Login Succeeded", "IdentityToken": "" })))
}

/// The host of a server's address; Docker Hub has several.
fn registry_of(server: &str) -> String {
    let host = server.split_once("://").map_or(server, |(_, rest)| rest);
    match host.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}
