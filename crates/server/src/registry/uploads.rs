//! Blobs in: whole with the first request or the last, in parts, or taken over
//! from another repository.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::Response,
};
use shoal_model::Digest;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio_stream::StreamExt;

use super::{
    CONTENT_DIGEST, blocking, empty,
    error::{Code, RegistryError},
    range,
    route::{Name, digest},
    storage::{Storage, Upload},
};

/// Chunks between network and disk.
const QUEUE: usize = 32;
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

fn unknown() -> RegistryError {
    RegistryError::new(Code::BlobUploadUnknown, "blob upload unknown to registry")
}

/// POST: begins an upload; or mounts; or takes the whole blob at once.
pub(super) async fn begin(
    storage: &Arc<Storage>,
    name: Name,
    request: Request,
) -> Result<Response, RegistryError> {
    let query = super::lists::query(request.uri());
    if let Some(mounted) = mount(storage, &name, &query).await? {
        return created(&name, &mounted);
    }
    let whole = query.get("digest").map(|text| digest(text)).transpose()?;
    let (store, repository) = (storage.clone(), name.clone());
    let begun = blocking(move || {
        store.begin_upload(&repository).map_err(RegistryError::io("begin upload"))
    });
    let (id, upload) = begun
        .await?
        .ok_or_else(|| RegistryError::new(Code::TooManyRequests, "too many uploads at a time"))?;
    match whole {
        None => progress(StatusCode::ACCEPTED, &name, &id, 0),
        Some(expected) => {
            let part = Part { storage, name: &name, id: &id };
            part.complete(upload.lock_owned().await, request.into_body(), expected).await
        }
    }
}

/// GET: how far it is.
pub(super) async fn status(
    storage: &Arc<Storage>,
    name: Name,
    id: String,
) -> Result<Response, RegistryError> {
    let size = Part { storage, name: &name, id: &id }.find().await?.lock().await.size();
    progress(StatusCode::NO_CONTENT, &name, &id, size)
}

/// PATCH: the next part.
pub(super) async fn append(
    storage: &Arc<Storage>,
    name: Name,
    id: String,
    request: Request,
) -> Result<Response, RegistryError> {
    let part = Part { storage, name: &name, id: &id };
    let upload = part.next(request.headers()).await?;
    let upload = part.receive(upload, request.into_body()).await?;
    progress(StatusCode::ACCEPTED, &name, &id, upload.size())
}

/// PUT: the last part, if any, and the digest of the whole.
pub(super) async fn finish(
    storage: &Arc<Storage>,
    name: Name,
    id: String,
    request: Request,
) -> Result<Response, RegistryError> {
    let part = Part { storage, name: &name, id: &id };
    let query = super::lists::query(request.uri());
    let expected = query.get("digest").map_or_else(|| digest(""), |text| digest(text))?;
    let upload = part.next(request.headers()).await?;
    part.complete(upload, request.into_body(), expected).await
}

/// DELETE: give it up.
pub(super) async fn cancel(
    storage: &Arc<Storage>,
    name: Name,
    id: String,
) -> Result<Response, RegistryError> {
    let part = Part { storage, name: &name, id: &id };
    let upload = part.find().await?.lock_owned().await;
    part.forget().await?;
    drop(upload);
    empty(StatusCode::NO_CONTENT, &[])
}

async fn mount(
    storage: &Arc<Storage>,
    name: &Name,
    query: &HashMap<String, String>,
) -> Result<Option<Digest>, RegistryError> {
    let (Some(wanted), Some(from)) = (query.get("mount"), query.get("from")) else {
        return Ok(None);
    };
    // What cannot be mounted is uploaded.
    let (Ok(wanted), Ok(from)) = (digest(wanted), from.parse::<Name>()) else { return Ok(None) };
    let (store, name) = (storage.clone(), name.clone());
    blocking(move || {
        let mounted =
            store.mount(&name, &from, &wanted).map_err(RegistryError::io("mount blob"))?;
        Ok(mounted.then_some(wanted))
    })
    .await
}

/// One request about an upload, most often one that brings bytes.
struct Part<'a> {
    storage: &'a Arc<Storage>,
    name: &'a Name,
    id: &'a str,
}

impl Part<'_> {
    /// What a task off the reactor takes along.
    fn owned(&self) -> (Arc<Storage>, Name, String) {
        (self.storage.clone(), self.name.clone(), self.id.to_owned())
    }

    async fn find(&self) -> Result<Arc<Mutex<Upload>>, RegistryError> {
        let (store, name, id) = self.owned();
        let found = move || store.find_upload(&name, &id).map_err(RegistryError::io("find upload"));
        blocking(found).await?.ok_or_else(unknown)
    }

    async fn forget(&self) -> Result<(), RegistryError> {
        let (store, name, id) = self.owned();
        blocking(move || {
            store.forget_upload(&name, &id).map_err(RegistryError::io("cancel upload"))
        })
        .await
    }

    /// The upload, if the request's range goes on where it stopped.
    async fn next(&self, headers: &HeaderMap) -> Result<OwnedMutexGuard<Upload>, RegistryError> {
        let upload = self.find().await?.lock_owned().await;
        let Some(text) = headers.get(header::CONTENT_RANGE) else { return Ok(upload) };
        let wrong = |reason: &str| {
            let end = upload.size().saturating_sub(1);
            RegistryError::new(Code::RangeInvalid, reason)
                .with(header::LOCATION, location(self.name, self.id))
                .with(header::RANGE, format!("0-{end}"))
                .with(UPLOAD_ID, self.id)
        };
        let part = text.to_str().ok().and_then(range::part);
        let (start, length) = part.ok_or_else(|| wrong("invalid content range"))?;
        if start != upload.size() {
            return Err(wrong("the part does not begin where the upload stopped"));
        }
        let stated = content_length(headers);
        if stated.is_some_and(|stated| stated != length) {
            return Err(RegistryError::new(
                Code::BlobUploadInvalid,
                "content range and content length differ",
            ));
        }
        Ok(upload)
    }

    /// Appends a body. What has arrived when a client breaks off stays, so
    /// that it may go on from there.
    async fn receive(
        &self,
        mut upload: OwnedMutexGuard<Upload>,
        body: Body,
    ) -> Result<OwnedMutexGuard<Upload>, RegistryError> {
        let (sender, mut chunks) = mpsc::channel::<Bytes>(QUEUE);
        let writing = blocking(move || {
            while let Some(chunk) = chunks.blocking_recv() {
                upload.append(&chunk).map_err(RegistryError::io("write upload"))?;
            }
            Ok(upload)
        });
        let sending = async {
            let mut body = body.into_data_stream();
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| {
                    tracing::debug!(%error, "an upload breaks off");
                    RegistryError::new(Code::BlobUploadInvalid, "the upload broke off")
                })?;
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
            drop(sender);
            Ok(())
        };
        let (sent, written) = tokio::join!(sending, writing);
        match written {
            Ok(upload) => sent.map(|()| upload),
            Err(error) => {
                // Half a write may be on disk: the sum no longer tells.
                self.forget().await?;
                Err(error)
            }
        }
    }

    /// Takes the last bytes; the upload becomes a blob if its digest is the expected one.
    async fn complete(
        &self,
        upload: OwnedMutexGuard<Upload>,
        body: Body,
        expected: Digest,
    ) -> Result<Response, RegistryError> {
        let mut upload = self.receive(upload, body).await?;
        let (store, name, id) = self.owned();
        let wanted = expected.clone();
        let right = blocking(move || {
            store
                .finish_upload(&name, &id, &mut upload, &wanted)
                .map_err(RegistryError::io("store blob"))
        });
        if right.await? {
            return created(self.name, &expected);
        }
        let reason = "provided digest did not match uploaded content";
        Err(RegistryError::new(Code::DigestInvalid, reason))
    }
}

fn created(name: &Name, digest: &Digest) -> Result<Response, RegistryError> {
    let place = format!("/v2/{}/blobs/{digest}", name.as_str());
    empty(StatusCode::CREATED, &[(header::LOCATION, place), (CONTENT_DIGEST, digest.to_string())])
}

/// Where an upload is: the answer to all but its last request.
fn progress(
    status: StatusCode,
    name: &Name,
    id: &str,
    size: u64,
) -> Result<Response, RegistryError> {
    let range = format!("0-{}", size.saturating_sub(1));
    empty(
        status,
        &[
            (header::LOCATION, location(name, id)),
            (header::RANGE, range),
            (UPLOAD_ID, id.to_owned()),
        ],
    )
}

fn location(name: &Name, id: &str) -> String {
    format!("/v2/{}/blobs/uploads/{id}", name.as_str())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
