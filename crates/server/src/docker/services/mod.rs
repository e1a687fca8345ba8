//! `/services`.

mod create;
mod list;
mod logs;
mod remove;
mod update;

use axum::Router;
use axum::routing::{get, post};

pub(super) use logs::stream as stream_logs;

use super::front::{Front, SharedFront};

/// The routes of services.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/services", get(list::list))
        .route("/services/create", post(create::create))
        .route("/services/{id}", get(list::inspect).delete(remove::remove))
        .route("/services/{id}/update", post(update::update))
        .route("/services/{id}/logs", get(logs::logs))
}

/// The name of a network that is given by name or id. The swarm knows networks
/// by name; what this node does not know is left for the swarm to judge.
fn network_name(front: &Front, name_or_id: &str) -> String {
    match front.networks.inspect(name_or_id) {
        Ok(view) => view.network.name.clone(),
        Err(_) => name_or_id.to_owned(),
    }
}
