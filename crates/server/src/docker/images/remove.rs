//! `DELETE /images/{name}` and `POST /images/prune`.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use shoal_engine::events::ObjectType;
use shoal_image::{PruneFilter, Removed};
use shoal_model::Timestamp;

use super::super::body;
use super::super::error::Result;
use super::super::front::{App, Front};
use super::super::query::{Filters, Query, only};
use super::super::time::parse_until;
use super::list::{read_bool, split_label};

/// Removes a name, and the image with its last one.
pub(super) async fn remove(
    State(front): App,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response> {
    query.refuse(&["platforms"])?;
    let (force, keep_parents) = (query.flag("force"), query.flag("noprune"));
    let removed = front
        .blocking(move |front| {
            let users = |id: &_| front.engine.containers().users_of_image(id);
            front.images.remove(&name, force, !keep_parents, &users)
        })
        .await?;
    tell(&front, &removed);
    Ok(body::ok(&render(&removed)))
}

/// Removes images nobody uses.
pub(super) async fn prune(State(front): App, query: Query) -> Result<Response> {
    let filter = read_filter(&query.filters()?, front.now())?;
    let pruned = front
        .blocking(move |front| {
            let users = |id: &_| front.engine.containers().users_of_image(id);
            front.images.prune(&filter, &users)
        })
        .await?;
    tell(&front, &pruned.removed);
    let removed = if pruned.removed.is_empty() { Value::Null } else { render(&pruned.removed) };
    Ok(body::ok(&json!({ "ImagesDeleted": removed, "SpaceReclaimed": pruned.reclaimed })))
}

fn read_filter(filters: &Filters, now: Timestamp) -> Result<PruneFilter> {
    only(filters, &["dangling", "until", "label", "label!"])?;
    let first = |key: &str| filters.get(key).and_then(|values| values.first());
    let labels = |key: &str| {
        filters.get(key).into_iter().flatten().map(|label| split_label(label)).collect()
    };
    let dangling = first("dangling").map(|value| read_bool("dangling", value)).transpose()?;
    Ok(PruneFilter {
        all: dangling == Some(false),
        until: first("until").map(|text| parse_until(text, now)).transpose()?,
        labels: labels("label"),
        without_labels: labels("label!"),
    })
}

fn render(removed: &[Removed]) -> Value {
    let entry = |step: &Removed| match step {
        Removed::Untagged(name) => json!({ "Untagged": name }),
        Removed::Deleted(digest) => json!({ "Deleted": digest.as_str() }),
    };
    removed.iter().map(entry).collect()
}

fn tell(front: &Front, removed: &[Removed]) {
    for step in removed {
        match step {
            Removed::Untagged(name) => {
                front.tell(ObjectType::Image, "untag", name, &[("name", name)]);
            }
            Removed::Deleted(digest) => {
                front.tell(
                    ObjectType::Image,
                    "delete",
                    digest.as_str(),
                    &[("name", digest.as_str())],
                );
            }
        }
    }
}
