//! Blobs out.

use std::{io::SeekFrom, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Method, Response as HttpResponse, StatusCode, header},
    response::Response,
};
use serde_json::json;
use shoal_model::Digest;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{
    CONTENT_DIGEST, blocking,
    error::{Code, RegistryError},
    range::{Wanted, wanted},
    route::Name,
    storage::Storage,
};

/// Bytes read from disk at once.
const CHUNK: usize = 256 << 10;

fn unknown(digest: &Digest) -> RegistryError {
    let error = RegistryError::new(Code::BlobUnknown, "blob unknown to registry");
    error.about(json!(digest.as_str()))
}

pub(super) async fn get(
    storage: &Arc<Storage>,
    name: Name,
    digest: Digest,
    method: Method,
    headers: &HeaderMap,
) -> Result<Response, RegistryError> {
    let (store, wanted_digest) = (storage.clone(), digest.clone());
    let found = blocking(move || {
        store.open_blob(&name, &wanted_digest).map_err(RegistryError::io("open blob"))
    });
    let (file, size) = found.await?.ok_or_else(|| unknown(&digest))?;
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, start, length) = match wanted(range, size) {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part(start, length) => (StatusCode::PARTIAL_CONTENT, start, length),
        Wanted::Nothing => {
            return Err(RegistryError::new(Code::RangeInvalid, "invalid content range")
                .with(header::CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let mut response = HttpResponse::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, length)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "max-age=31536000")
        .header(header::ETAG, format!("\"{digest}\""))
        .header(CONTENT_DIGEST, digest.as_str());
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{size}", start + length - 1);
        response = response.header(header::CONTENT_RANGE, range);
    }
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let mut file = tokio::fs::File::from_std(file);
        file.seek(SeekFrom::Start(start)).await.map_err(RegistryError::io("read blob"))?;
        Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK))
    };
    response.body(body).map_err(|error| RegistryError::new(Code::Unknown, error.to_string()))
}

pub(super) async fn delete(
    storage: &Arc<Storage>,
    name: Name,
    digest: Digest,
) -> Result<Response, RegistryError> {
    let (store, missing) = (storage.clone(), unknown(&digest));
    let was_there = blocking(move || {
        store.unlink_blob(&name, &digest).map_err(RegistryError::io("delete blob"))
    });
    if !was_there.await? {
        return Err(missing);
    }
    super::empty(StatusCode::ACCEPTED, &[])
}
