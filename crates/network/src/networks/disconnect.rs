//! Taking a running container out of a network.

use std::sync::Arc;

use shoal_model::ContainerId;

use super::{Networks, linger::Lingering};
use crate::{
    NetworkError, Result,
    dns::names::Owner,
    firewall::apply::Wanted,
    link::change::Change,
    state::{EndpointState, SandboxState},
};

pub(super) async fn disconnect(
    networks: &Arc<Networks>,
    container: &ContainerId,
    network: &str,
) -> Result<()> {
    let (before, endpoint) = find(networks, container, network)?;
    let mut now = before.clone();
    now.endpoints.retain(|e| e.endpoint_id != endpoint.endpoint_id);

    networks.names.remove(&endpoint.network, &Owner::Container(container.clone()));
    networks.refresh_scope(container, &now);
    let change = Wanted::Ports { open: now.port_rules(), close: before.port_rules() };
    let rules = networks.firewall.follow(change).await;
    let links = unlink(networks, container, &before, &now, &endpoint).await;

    if let Some(placed) = networks.lock().sandboxes.get_mut(container) {
        placed.state.endpoints = now.endpoints;
    }
    let addresses = vec![(endpoint.network, endpoint.ipv4)];
    let lingering = Lingering { addresses, ..Lingering::default() };
    match &rules {
        Ok(()) => lingering.free(networks),
        Err(_) => lingering.free_when_closed(networks),
    }
    rules.and(links)
}

fn find(
    networks: &Networks,
    container: &ContainerId,
    network: &str,
) -> Result<(SandboxState, EndpointState)> {
    let state = networks.lock();
    let found = Arc::clone(&state.resolve(network)?.network);
    let not_connected = || NetworkError::NotConnected {
        container: container.short().into(),
        network: found.name.clone(),
    };
    let placed = &state.sandboxes.get(container).ok_or_else(not_connected)?.state;
    let endpoint = placed.endpoint(&found.id).ok_or_else(not_connected)?.clone();
    if placed.host {
        let text = "container cannot be disconnected from host network - container was created \
                    with network_mode=host";
        return Err(NetworkError::Conflict(text.into()));
    }
    Ok((placed.clone(), endpoint))
}

/// Removes the pair; the next endpoint with a way out gets the default route.
async fn unlink(
    networks: &Networks,
    container: &ContainerId,
    before: &SandboxState,
    now: &SandboxState,
    gone: &EndpointState,
) -> Result<()> {
    let carried = before.publisher().map(|e| &e.endpoint_id) == Some(&gone.endpoint_id);
    let route = now.publisher().filter(|_| carried).and_then(|next| {
        Some(Change::AddDefaultRoute { link: next.link.clone(), gateway: next.gateway? })
    });
    let link = gone.host_link.clone();
    if link.is_empty() {
        return Ok(());
    }
    let namespace = networks.namespace(container)?;
    let work = networks.in_namespace(namespace, move |kernel, fd| {
        kernel.delete_link(&link)?;
        route.map_or(Ok(()), |route| kernel.add_default_route(fd, route))
    });
    work.await
}
