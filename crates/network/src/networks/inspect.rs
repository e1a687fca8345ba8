//! Showing networks and who is in them.

use std::sync::Arc;

use super::state::{Live, State};
use crate::{
    Result,
    state::{EndpointView, NetworkView},
};

pub(super) fn list(state: &State) -> Vec<NetworkView> {
    let mut views: Vec<_> = state
        .networks
        .values()
        .filter(|live| !live.leaving)
        .map(|live| view(state, live))
        .collect();
    views.sort_by(|a, b| a.network.name.cmp(&b.network.name));
    views
}

pub(super) fn inspect(state: &State, name_or_id: &str) -> Result<NetworkView> {
    Ok(view(state, state.resolve(name_or_id)?))
}

fn view(state: &State, live: &Live) -> NetworkView {
    let endpoints = state
        .members(&live.network.id)
        .into_iter()
        .map(|(container, placed, endpoint)| EndpointView {
            container: container.clone(),
            name: placed.state.name.clone(),
            endpoint: endpoint.clone(),
        })
        .collect();
    NetworkView { network: Arc::clone(&live.network), endpoints }
}
