//! `POST /images/{name}/push`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;
use shoal_engine::events::ObjectType;
use shoal_image::{ListFilter, Progress, ProgressSink};
use shoal_model::Reference;

use super::super::error::Result;
use super::super::front::{App, Front};
use super::super::progress::{Queue, respond};
use super::super::query::Query;
use super::super::registry_auth;

/// Pushes one tag, or all tags of a repository if none is named.
pub(super) async fn push(
    State(front): App,
    name: &str,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Response> {
    query.refuse(&["platform"])?;
    let auth = registry_auth::from_headers(headers)?;
    let reference = Reference::parse(name)?;
    let references = match (query.get("tag"), reference.tag()) {
        (Some(tag), _) => vec![reference.with_tag(tag)?],
        (None, Some(_)) => vec![reference],
        (None, None) => all_tags(&front, &reference)?,
    };
    let queue = Queue::default();
    let sink = told_once(queue.sink());
    respond(queue, async move {
        let mut lines = Vec::new();
        for reference in references {
            let pushed = front.images.push(&reference, &auth, sink.clone()).await?;
            let tag = reference.tag().unwrap_or_default();
            lines.push(json!({ "progressDetail": {}, "aux": {
                "Tag": tag, "Digest": pushed.digest.as_str(), "Size": pushed.size } }));
            front.tell(
                ObjectType::Image,
                "push",
                &reference.familiar(),
                &[("name", &reference.familiar_name())],
            );
        }
        Ok(lines)
    })
    .await
}

/// A sink that hears of the repository once, however many tags are pushed.
fn told_once(sink: ProgressSink) -> ProgressSink {
    let told = AtomicBool::new(false);
    Arc::new(move |event| {
        let repeated = matches!(event, Progress::PushRefersTo(_)) && told.swap(true, Relaxed);
        if !repeated {
            sink(event);
        }
    })
}

fn all_tags(front: &Front, repository: &Reference) -> Result<Vec<Reference>> {
    let mut references = Vec::new();
    for image in front.images.list(&ListFilter { all: true, ..ListFilter::default() })? {
        for name in &image.repo_tags {
            let reference = Reference::parse(name)?;
            if reference.name() == repository.name() {
                references.push(reference);
            }
        }
    }
    // As Docker goes through them.
    references.sort_by_key(Reference::familiar);
    if references.is_empty() {
        // Let the store say that there is none, in Docker's words.
        references.push(repository.clone().with_default_tag());
    }
    Ok(references)
}
