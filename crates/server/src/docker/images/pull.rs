//! `POST /images/create`: pull an image, or import a root file system.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::Value;
use shoal_engine::events::ObjectType;
use shoal_image::{Auth, Progress, ProgressSink};
use shoal_model::{Digest, Platform, Reference};

use super::super::error::{ApiError, Result};
use super::super::front::{App, Front};
use super::super::progress::{Queue, respond};
use super::super::query::Query;
use super::super::registry_auth;
use super::platform::read_platform;
use super::transfer;

/// Pulls with `fromImage`, imports with `fromSrc`.
pub(super) async fn create(
    front: App,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    match (query.get("fromImage"), query.get("fromSrc")) {
        (Some(image), None) => pull(front, image, &query, &headers).await,
        (None, Some(source)) => transfer::import(front, source, &query, body).await,
        _ => Err(ApiError::invalid("one of fromImage and fromSrc must be given")),
    }
}

async fn pull(
    State(front): App,
    image: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response> {
    let reference = reference(image, query.get("tag"))?;
    let auth = registry_auth::from_headers(headers)?;
    let platform = query.get("platform").map(read_platform).transpose()?;
    let queue = Queue::default();
    let sink = queue.sink();
    respond(queue, async move {
        if reference.tag().is_none() && reference.digest().is_none() {
            pull_all(&front, &reference, &auth, platform.as_ref(), &sink).await?;
        } else {
            pull_one(&front, &reference, &auth, platform.as_ref(), sink).await?;
        }
        Ok(Vec::<Value>::new())
    })
    .await
}

/// The reference of `fromImage` and `tag`; the tag may be a digest.
fn reference(image: &str, tag: Option<&str>) -> Result<Reference> {
    let reference = Reference::parse(image)?;
    match tag {
        None => Ok(reference),
        Some(tag) if tag.contains(':') => {
            let digest: Digest = tag.parse()?;
            Ok(reference.with_digest(digest))
        }
        Some(tag) => Ok(reference.with_tag(tag)?),
    }
}

/// Pulls one image; whether that brought something.
async fn pull_one(
    front: &Arc<Front>,
    reference: &Reference,
    auth: &Auth,
    platform: Option<&Platform>,
    sink: ProgressSink,
) -> Result<bool> {
    let pulled = front.images.pull(reference, auth, platform, sink).await?;
    let name = reference.familiar();
    front.tell(ObjectType::Image, "pull", &name, &[("name", &reference.familiar_name())]);
    Ok(pulled.newer)
}

/// Pulls all tags; one line at the end says how it went, as Docker's does.
async fn pull_all(
    front: &Arc<Front>,
    repository: &Reference,
    auth: &Auth,
    platform: Option<&Platform>,
    sink: &ProgressSink,
) -> Result<()> {
    let of_one = Arc::clone(sink);
    let of_one: ProgressSink = Arc::new(move |event| match event {
        Progress::Status(_) => {}
        event => of_one(event),
    });
    let mut newer = false;
    for tag in front.images.remote_tags(repository, auth).await? {
        let reference = repository.with_tag(&tag)?;
        newer |= pull_one(front, &reference, auth, platform, Arc::clone(&of_one)).await?;
    }
    let what = if newer { "Downloaded newer image" } else { "Image is up to date" };
    sink(Progress::Status(format!("Status: {what} for {}", repository.familiar())));
    Ok(())
}
