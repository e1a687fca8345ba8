//! Images as archives: save, load, import.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use shoal_engine::events::ObjectType;
use shoal_image::{ImportOptions, Progress};
use shoal_model::Reference;

use super::super::body;
use super::super::download::download;
use super::super::error::{ApiError, Result};
use super::super::front::{App, SharedFront};
use super::super::progress::{Queue, respond};
use super::super::query::Query;
use super::super::upload::Upload;
use super::changes;
use super::platform::read_platform;
use super::tag::target;

/// `GET /images/get?names=…`.
pub(super) async fn save_several(State(front): App, query: Query) -> Result<Response> {
    query.refuse(&["platform"])?;
    let names: Vec<String> =
        query.all("names").flat_map(|names| names.split(',')).map(str::to_owned).collect();
    if names.is_empty() {
        return Err(ApiError::invalid("no image names given"));
    }
    stream_archive(front, names).await
}

/// `GET /images/{name}/get`.
pub(super) async fn save(State(front): App, name: String) -> Result<Response> {
    stream_archive(front, vec![name]).await
}

async fn stream_archive(front: SharedFront, names: Vec<String>) -> Result<Response> {
    for name in &names {
        // A missing image is an error of its own, not a broken archive.
        front.images.resolve(name)?;
    }
    let tasks = front.tasks.clone();
    let archive = download(&tasks, move |out| front.images.save(&names, out));
    Ok(body::streamed("application/x-tar", archive))
}

/// `POST /images/load`.
pub(super) async fn load(State(front): App, query: Query, body: Body) -> Result<Response> {
    // Before anything is refused, so that the client hears it.
    let reader = Upload::new(body, &front.tasks);
    query.refuse(&["platform"])?;
    let quiet = query.flag("quiet");
    let queue = Queue::default();
    let sink = queue.sink();
    let sink: shoal_image::ProgressSink = std::sync::Arc::new(move |event| {
        if !quiet || matches!(event, Progress::Loaded(_)) {
            sink(event);
        }
    });
    respond(queue, async move {
        let images = front.blocking(move |front| front.images.load(reader, sink)).await?;
        for image in images {
            let id = image.id.as_str();
            front.tell(ObjectType::Image, "load", id, &[("name", id)]);
        }
        Ok(Vec::new())
    })
    .await
}

/// `POST /images/create?fromSrc=-`.
pub(super) async fn import(
    State(front): App,
    source: &str,
    query: &Query,
    body: Body,
) -> Result<Response> {
    // Before anything is refused, so that the client hears it.
    let reader = Upload::new(body, &front.tasks);
    if source != "-" {
        return Err(ApiError::unsupported("importing from a URL"));
    }
    let target: Option<Reference> =
        query.get("repo").map(|repository| target(repository, query.get("tag"))).transpose()?;
    if target.as_ref().is_some_and(|name| name.digest().is_some()) {
        return Err(ApiError::invalid("cannot import digest reference"));
    }
    let platform = query.get("platform").map(read_platform).transpose()?;
    if platform.as_ref().is_some_and(|platform| platform.os != "linux") {
        return Err(ApiError::invalid("operating system is not supported"));
    }
    let options = ImportOptions {
        config: changes::read(query.all("changes"))?,
        message: query.get("message").unwrap_or("Imported from -").to_owned(),
        platform,
        created: front.now(),
    };
    let name = target.as_ref().map(Reference::familiar);
    let work = move |front: &super::super::front::Front| {
        front.images.import(reader, options, target.as_ref())
    };
    let image = front.blocking(work).await?;
    if let Some(name) = name {
        front.tell(ObjectType::Image, "tag", image.id.as_str(), &[("name", name)]);
    }
    front.tell(ObjectType::Image, "import", image.id.as_str(), &[("name", image.id.as_str())]);
    let line = json!({ "status": image.id.as_str() });
    Ok(body::lines(futures_util::stream::iter([line])))
}
