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
    let server = document.server.clone();
    front.images.login(&server, &document.into_domain()?).await?;
    Ok(body::ok(&json!({ "Status": "Login Succeeded", "IdentityToken": "" })))
}
