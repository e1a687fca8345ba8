//! Lists: repositories, tags, and manifests about a manifest.

use std::{collections::HashMap, sync::Arc};

use axum::{
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use shoal_model::Digest;

use super::{
    blocking,
    error::{Code, RegistryError},
    route::Name,
    storage::{Storage, Stored},
};

/// Entries of a page where the client does not say, and at most.
const PAGE: usize = 1000;
const MAX_PAGE: usize = 10_000;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The query of a request; of several values of one name, the last.
pub(super) fn query(uri: &Uri) -> HashMap<String, String> {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

pub(super) async fn catalog(storage: &Arc<Storage>, uri: &Uri) -> Result<Response, RegistryError> {
    let store = storage.clone();
    let names =
        blocking(move || store.repositories().map_err(RegistryError::io("list repositories")))
            .await?;
    let page = Page::of(uri, names)?;
    page.answer("/v2/_catalog", |names| json!({ "repositories": names }))
}

pub(super) async fn tags(
    storage: &Arc<Storage>,
    name: Name,
    uri: &Uri,
) -> Result<Response, RegistryError> {
    let (store, repository) = (storage.clone(), name.clone());
    let tags =
        blocking(move || store.tags(&repository).map_err(RegistryError::io("list tags"))).await?;
    let tags = tags.ok_or_else(|| {
        RegistryError::new(Code::NameUnknown, "repository name not known to registry")
            .about(json!({ "name": name.as_str() }))
    })?;
    let tags = tags.iter().map(|tag| tag.as_str().to_owned()).collect();
    let page = Page::of(uri, tags)?;
    let path = format!("/v2/{}/tags/list", name.as_str());
    page.answer(&path, |tags| json!({ "name": name.as_str(), "tags": tags }))
}

pub(super) async fn referrers(
    storage: &Arc<Storage>,
    name: Name,
    digest: Digest,
    uri: &Uri,
) -> Result<Response, RegistryError> {
    let wanted = query(uri).remove("artifactType");
    let store = storage.clone();
    let found = blocking(move || {
        store.referrers_of(&name, &digest).map_err(RegistryError::io("list referrers"))
    });
    let mut manifests: Vec<Value> = found.await?.iter().filter_map(descriptor).collect();
    if let Some(wanted) = &wanted {
        manifests.retain(|manifest| manifest["artifactType"] == wanted.as_str());
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    let mut response =
        (StatusCode::OK, [(header::CONTENT_TYPE, INDEX)], index.to_string()).into_response();
    if wanted.is_some() {
        let applied = HeaderValue::from_static("artifactType");
        response.headers_mut().insert("oci-filters-applied", applied);
    }
    Ok(response)
}

/// A manifest as an entry of an index. Its artifact type is what it says, or
/// the type of its config.
fn descriptor(stored: &Stored) -> Option<Value> {
    let content: Value = serde_json::from_slice(&stored.bytes).ok()?;
    let mut made = json!({
        "mediaType": stored.media_type,
        "digest": stored.digest,
        "size": stored.bytes.len(),
    });
    let kind = [&content["artifactType"], &content["config"]["mediaType"]];
    if let Some(kind) = kind.into_iter().find(|kind| kind.as_str().is_some_and(|k| !k.is_empty())) {
        made["artifactType"] = kind.clone();
    }
    if content["annotations"].is_object() {
        made["annotations"] = content["annotations"].clone();
    }
    Some(made)
}

/// A part of a sorted list.
struct Page {
    names: Vec<String>,
    /// Where the next one begins: after this name, of that many.
    next: Option<(String, usize)>,
}

impl Page {
    fn of(uri: &Uri, mut names: Vec<String>) -> Result<Self, RegistryError> {
        let query = query(uri);
        let length = match query.get("n").map(|text| text.parse::<usize>()) {
            None => PAGE,
            Some(Ok(length)) if length <= MAX_PAGE => length,
            Some(_) => {
                let reason = "invalid number of results requested";
                return Err(RegistryError::new(Code::PaginationNumberInvalid, reason));
            }
        };
        // Byte order, which is how the caller's last name is compared.
        names.sort();
        if let Some(last) = query.get("last") {
            names.retain(|name| name > last);
        }
        let more = names.len() > length;
        names.truncate(length);
        let next = names.last().filter(|_| more).map(|last| (last.clone(), length));
        Ok(Self { names, next })
    }

    fn answer(
        self,
        path: &str,
        body: impl FnOnce(Vec<String>) -> Value,
    ) -> Result<Response, RegistryError> {
        let mut response = (StatusCode::OK, axum::Json(body(self.names))).into_response();
        if let Some((last, length)) = self.next {
            let last = utf8_percent_encode(&last, NON_ALPHANUMERIC);
            let link = format!("<{path}?last={last}&n={length}>; rel=\"next\"");
            if let Ok(link) = HeaderValue::from_str(&link) {
                response.headers_mut().insert(header::LINK, link);
            }
        }
        Ok(response)
    }
}
