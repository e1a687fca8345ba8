//! Manifests and indexes, in and out.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, Method, Response as HttpResponse, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shoal_model::Digest;

use super::{
    CONTENT_DIGEST, blocking, empty,
    error::{Code, RegistryError},
    route::{ManifestReference, Name},
    storage::{Storage, Stored},
};

/// Longest manifest taken (the specification asks for at least this).
const MAX_MANIFEST_BYTES: usize = 4 << 20;
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

const IMAGES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What a registry must know of a manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Option<Part>,
    layers: Option<Vec<Part>>,
    manifests: Option<Vec<Part>>,
    subject: Option<Part>,
}

#[derive(Deserialize)]
struct Part {
    digest: Digest,
    /// Such content is elsewhere.
    #[serde(default)]
    urls: Vec<String>,
}

fn unknown(name: &Name, reference: &ManifestReference) -> RegistryError {
    let detail = match reference {
        ManifestReference::Tag(tag) => json!({ "Tag": tag.as_str() }),
        ManifestReference::Digest(digest) => {
            json!({ "Name": name.as_str(), "Revision": digest.as_str() })
        }
    };
    RegistryError::new(Code::ManifestUnknown, "manifest unknown").about(detail)
}

fn invalid(reason: impl std::fmt::Display) -> RegistryError {
    RegistryError::new(Code::ManifestInvalid, format!("manifest invalid: {reason}"))
}

pub(super) async fn get(
    storage: &Arc<Storage>,
    name: Name,
    reference: ManifestReference,
    method: Method,
) -> Result<Response, RegistryError> {
    let (store, missing) = (storage.clone(), unknown(&name, &reference));
    let found = blocking(move || {
        store.manifest(&name, &reference).map_err(RegistryError::io("read manifest"))
    });
    let found = found.await?.ok_or(missing)?;
    let response = HttpResponse::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, found.media_type)
        .header(header::CONTENT_LENGTH, found.bytes.len())
        .header(header::ETAG, format!("\"{}\"", found.digest))
        .header(CONTENT_DIGEST, found.digest.as_str());
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(found.bytes) };
    response.body(body).map_err(|error| RegistryError::new(Code::Unknown, error.to_string()))
}

pub(super) async fn put(
    storage: &Arc<Storage>,
    name: Name,
    reference: ManifestReference,
    request: Request,
) -> Result<Response, RegistryError> {
    let stated = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|text| text.split(';').next().unwrap_or(text).trim().to_owned());
    let bytes = axum::body::to_bytes(request.into_body(), MAX_MANIFEST_BYTES)
        .await
        .map_err(|_| RegistryError::new(Code::ManifestTooLarge, "manifest too large"))?;
    let digest = Digest::sha256(Sha256::digest(&bytes).into());
    if let ManifestReference::Digest(expected) = &reference
        && *expected != digest
    {
        let reason = "provided digest did not match uploaded content";
        return Err(RegistryError::new(Code::DigestInvalid, reason));
    }
    let content: Content = serde_json::from_slice(&bytes).map_err(invalid)?;
    let media_type = check_media_type(&content, stated)?;
    let stored = Stored { digest: digest.clone(), media_type, bytes: bytes.into() };
    let subject = content.subject.as_ref().map(|subject| subject.digest.clone());
    let (store, repository, about) = (storage.clone(), name.clone(), subject.clone());
    blocking(move || {
        check_parts(&store, &repository, &content)?;
        let tag = match &reference {
            ManifestReference::Tag(tag) => Some(tag),
            ManifestReference::Digest(_) => None,
        };
        store
            .put_manifest(&repository, &stored, tag, about.as_ref())
            .map_err(RegistryError::io("store manifest"))
    })
    .await?;
    let place = format!("/v2/{}/manifests/{digest}", name.as_str());
    let mut headers = vec![(header::LOCATION, place), (CONTENT_DIGEST, digest.to_string())];
    headers.extend(subject.map(|subject| (SUBJECT, subject.to_string())));
    empty(StatusCode::CREATED, &headers)
}

pub(super) async fn delete(
    storage: &Arc<Storage>,
    name: Name,
    reference: ManifestReference,
) -> Result<Response, RegistryError> {
    let (store, missing) = (storage.clone(), unknown(&name, &reference));
    let was_there = blocking(move || {
        let io = RegistryError::io("delete manifest");
        let subject = match store.manifest(&name, &reference) {
            Ok(Some(stored)) => serde_json::from_slice::<Content>(&stored.bytes)
                .ok()
                .and_then(|content| content.subject),
            Ok(None) => None,
            Err(error) => return Err(io(error)),
        };
        let subject = subject.map(|subject| subject.digest);
        store.delete_manifest(&name, &reference, subject.as_ref()).map_err(io)
    });
    if was_there.await? { empty(StatusCode::ACCEPTED, &[]) } else { Err(missing) }
}

/// The media type, which header and document must agree about; what it is must
/// be what it looks like, or clients would read it differently.
fn check_media_type(content: &Content, stated: Option<String>) -> Result<String, RegistryError> {
    if content.schema_version != 2 {
        return Err(invalid(format_args!("unsupported schema version {}", content.schema_version)));
    }
    let stated = stated.filter(|text| !text.is_empty());
    let media_type = match (stated, content.media_type.as_str()) {
        (Some(stated), "") => stated,
        (Some(stated), own) if stated == own => stated,
        (Some(stated), own) => {
            return Err(invalid(format_args!("media type is {own}, and {stated} was said")));
        }
        (None, "") => {
            let kinds = if content.manifests.is_some() { INDEXES } else { IMAGES };
            kinds[0].to_owned()
        }
        (None, own) => own.to_owned(),
    };
    let looks_like_index = content.manifests.is_some() && content.layers.is_none();
    let looks_like_image = content.config.is_some() && content.manifests.is_none();
    let kind = media_type.as_str();
    if (IMAGES.contains(&kind) && looks_like_image) || (INDEXES.contains(&kind) && looks_like_index)
    {
        Ok(media_type)
    } else {
        Err(invalid(format_args!("not a document of type {media_type}")))
    }
}

/// Everything a manifest names must be there before it.
fn check_parts(storage: &Storage, name: &Name, content: &Content) -> Result<(), RegistryError> {
    let missing = |digest: &Digest| {
        let reason = format!("blob unknown to registry: {digest}");
        let error = RegistryError::new(Code::ManifestBlobUnknown, reason);
        Err(error.about(json!(digest.as_str())))
    };
    let layers = content.layers.iter().flatten().filter(|layer| layer.urls.is_empty());
    for part in content.config.iter().chain(layers) {
        let size = storage.blob_size(name, &part.digest);
        if size.map_err(RegistryError::io("find blob"))?.is_none() {
            return missing(&part.digest);
        }
    }
    for part in content.manifests.iter().flatten() {
        if !storage.has_manifest(name, &part.digest) {
            return missing(&part.digest);
        }
    }
    Ok(())
}
