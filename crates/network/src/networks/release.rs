//! Ending a container's place, past every error.

use std::sync::Arc;

use shoal_model::ContainerId;

use super::{Networks, linger::Lingering};
use crate::{Result, dns::names::Owner, firewall::apply::Wanted};

pub(super) async fn release(networks: &Arc<Networks>, container: &ContainerId) -> Result<()> {
    let Some((state, resolver, namespace)) = ({
        let mut tables = networks.lock();
        tables
            .sandboxes
            .get_mut(container)
            .map(|placed| (placed.state.clone(), placed.resolver.take(), placed.namespace.take()))
    }) else {
        return Ok(());
    };
    let owner = Owner::Container(container.clone());
    for endpoint in &state.endpoints {
        networks.names.remove(&endpoint.network, &owner);
    }
    // Both are uses of the namespace; with the last one its links end.
    drop(resolver);
    drop(namespace);
    let rules = state.port_rules();
    let mut result = Ok(());
    if !rules.is_empty() {
        result = networks.firewall.follow(Wanted::Ports { open: Vec::new(), close: rules }).await;
    }
    let links = state.endpoints.iter().filter(|e| !e.host_link.is_empty());
    networks.pool.sweep_later(links.map(|e| e.host_link.clone()).collect());
    let ports = networks.lock().sandboxes.remove(container).map(|placed| placed.ports);
    let lingering = Lingering {
        ports: ports.unwrap_or_default(),
        addresses: state.endpoints.into_iter().map(|e| (e.network, e.ipv4)).collect(),
    };
    // Only now may somebody else have ports and addresses.
    match &result {
        Ok(()) => lingering.free(networks),
        Err(_) => lingering.free_when_closed(networks),
    }
    result
}
