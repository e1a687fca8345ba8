//! `GET /images/{name}/history`.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_image::HistoryEntry;
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::Result;
use super::super::front::App;

/// How an image came about, newest step first.
pub(super) async fn history(State(front): App, name: &str) -> Result<Response> {
    let entries = front.images.history(name)?;
    Ok(body::ok(&entries.iter().map(render).collect()))
}

fn render(entry: &HistoryEntry) -> Value {
    let HistoryEntry { id, created, created_by, tags, size, comment } = entry;
    json!({
        "Id": id.as_ref().map_or("<missing>", |id| id.as_str()),
        "Created": created.map(Timestamp::seconds).unwrap_or_default(),
        "CreatedBy": created_by,
        "Tags": if tags.is_empty() { Value::Null } else { json!(tags) },
        "Size": size,
        "Comment": comment,
    })
}
