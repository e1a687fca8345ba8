//! `GET /distribution/{name}/json`: what a registry has under a name.

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use serde_json::{Value, json};
use shoal_model::{Platform, Reference};

use super::super::body;
use super::super::error::Result;
use super::super::front::App;
use super::super::registry_auth;
use super::page_not_found;

/// Asks the registry; the docker CLI pins a service's image with it.
pub(super) async fn inspect(
    State(front): App,
    Path(rest): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let name = rest.strip_suffix("/json").ok_or_else(page_not_found)?;
    let reference = Reference::parse(name)?.with_default_tag();
    let auth = registry_auth::from_headers(&headers)?;
    let manifest = front.images.remote_manifest(&reference, &auth).await?;
    Ok(body::ok(&json!({
        "Descriptor": {
            "mediaType": manifest.media_type,
            "digest": manifest.digest.as_str(),
            "size": manifest.size,
        },
        "Platforms": manifest.platforms.iter().map(render_platform).collect::<Vec<_>>(),
    })))
}

fn render_platform(platform: &Platform) -> Value {
    let Platform { os, architecture, variant } = platform;
    let mut document = json!({ "architecture": architecture, "os": os });
    if !variant.is_empty() {
        document["variant"] = json!(variant);
    }
    document
}
