//! Ending a container's place, past every error.

use std::sync::Arc;

use shoal_model::ContainerId;

use super::Networks;
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
        result = networks.firewall.change(Wanted::Ports { open: Vec::new(), close: rules }).await;
    }
    // Only now may somebody else have ports and addresses.
    let links = state.endpoints.iter().filter(|e| !e.host_link.is_empty());
    networks.pool.sweep_later(links.map(|e| e.host_link.clone()).collect());
    let mut tables = networks.lock();
    tables.sandboxes.remove(container);
    for endpoint in &state.endpoints {
        tables.free(&endpoint.network, endpoint.ipv4);
    }
    result
}
