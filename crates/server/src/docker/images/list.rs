//! `GET /images/json`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_image::{Image, ListFilter};
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::{Filters, Query, only};
use super::super::time::parse_until;
use super::super::version::ApiVersion;

/// Lists images.
pub(super) async fn list(
    State(front): App,
    Extension(version): Extension<ApiVersion>,
    query: Query,
) -> Result<Response> {
    let mut filter = read_filter(&query.filters()?, front.now())?;
    filter.all = query.flag("all");
    // The oldest form of a filter by name.
    filter.references.extend(query.get("filter").map(str::to_owned));
    let images = front.blocking(move |front| front.images.list(&filter)).await?;
    let render = |image: &Image| {
        let mut entry = render(image);
        if !version.at_least(44) {
            entry["VirtualSize"] = json!(image.size);
        }
        entry
    };
    Ok(body::ok(&images.iter().map(render).collect()))
}

fn read_filter(filters: &Filters, now: Timestamp) -> Result<ListFilter> {
    only(filters, &["reference", "dangling", "label", "before", "since", "until"])?;
    let first = |key: &str| filters.get(key).and_then(|values| values.first());
    Ok(ListFilter {
        all: false,
        references: filters.get("reference").cloned().unwrap_or_default(),
        dangling: first("dangling").map(|value| read_bool("dangling", value)).transpose()?,
        labels: filters
            .get("label")
            .into_iter()
            .flatten()
            .map(|label| split_label(label))
            .collect(),
        before: first("before").cloned(),
        since: first("since").cloned(),
        until: first("until").map(|text| parse_until(text, now)).transpose()?,
    })
}

/// Reads the value of a filter that is true or false.
///
/// # Errors
/// `Invalid`, naming the filter.
pub(crate) fn read_bool(key: &str, value: &str) -> Result<bool> {
    match value {
        "1" | "true" | "True" => Ok(true),
        "0" | "false" | "False" => Ok(false),
        _ => Err(ApiError::invalid(format!("invalid filter '{key}={value}'"))),
    }
}

/// `key` or `key=value`.
pub(super) fn split_label(label: &str) -> (String, Option<String>) {
    match label.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (label.to_owned(), None),
    }
}

/// One image as a list shows it.
pub(crate) fn render(image: &Image) -> Value {
    let created = image.created.map(Timestamp::seconds).unwrap_or_default();
    json!({
        "Id": image.id.as_str(),
        "ParentId": image.parent.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Created": created,
        "Size": image.size,
        "SharedSize": -1,
        "Labels": image.config.config.labels,
        "Containers": -1,
    })
}
