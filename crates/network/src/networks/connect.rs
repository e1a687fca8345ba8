//! Joining a running container to one more network.

use std::sync::Arc;

use shoal_model::ContainerId;

use super::{
    Networks,
    claim::{self, Asker},
    sandbox,
    state::State,
};
use crate::{
    NetworkError, Result,
    firewall::apply::Wanted,
    request::EndpointRequest,
    spec::Driver,
    state::{EndpointState, SandboxState},
};

/// Makes what [`place`] wrote down, or undoes that.
pub(super) async fn join(
    networks: &Arc<Networks>,
    container: &ContainerId,
    endpoint: &EndpointState,
) -> Result<()> {
    let none = || NetworkError::NoSandbox(container.short().into());
    let now = networks.state(container).ok_or_else(none)?;
    if now.endpoint(&endpoint.network) != Some(endpoint) {
        // It ended meanwhile, and its addresses are free again.
        return Err(none());
    }
    let joined = furnish(networks, container, &now, endpoint).await;
    if joined.is_err() {
        forget(networks, container, endpoint);
    }
    joined
}

/// Writes the endpoint down.
pub(super) fn place(
    networks: &Networks,
    container: &ContainerId,
    request: &EndpointRequest,
) -> Result<EndpointState> {
    let mut state = networks.lock();
    let none = || NetworkError::NoSandbox(container.short().into());
    let placed = &state.sandboxes.get(container).ok_or_else(none)?.state;
    check(&state, placed, request)?;
    let (name, hostname) = (placed.name.clone(), placed.hostname.clone());
    let asker = Asker { container, name: &name, hostname: &hostname, index: free_index(placed) };
    let endpoint = claim::claim(&mut state, asker, request)?;
    if let Some(placed) = state.sandboxes.get_mut(container) {
        placed.state.endpoints.push(endpoint.clone());
        placed.state.embedded_dns |= !endpoint.dns_names.is_empty();
    }
    Ok(endpoint)
}

fn check(state: &State, placed: &SandboxState, request: &EndpointRequest) -> Result<()> {
    let network = &state.resolve(&request.network)?.network;
    if network.driver != Driver::Bridge {
        return Err(sandbox::alone(network.driver));
    }
    for endpoint in &placed.endpoints {
        if endpoint.network == network.id {
            return Err(NetworkError::Forbidden(format!(
                "endpoint with name {} already exists in network {}",
                placed.name, network.name
            )));
        }
        let driver = state.networks.get(&endpoint.network).map(|live| live.network.driver);
        if let Some(driver @ (Driver::Host | Driver::Null)) = driver {
            return Err(sandbox::alone(driver));
        }
    }
    Ok(())
}

/// The first number no link inside has.
fn free_index(placed: &SandboxState) -> usize {
    let has = |index: usize| {
        let name = crate::link::name::container_end(index);
        placed.endpoints.iter().any(|e| e.link == name)
    };
    (0..).find(|index| !has(*index)).unwrap_or_default()
}

async fn furnish(
    networks: &Arc<Networks>,
    container: &ContainerId,
    now: &SandboxState,
    endpoint: &EndpointState,
) -> Result<()> {
    let mut before = now.clone();
    before.endpoints.retain(|e| e.endpoint_id != endpoint.endpoint_id);
    let mut steps = networks.steps(now)?;
    steps.retain(|step| step.plan.host_link == endpoint.host_link);
    let opens_dns = now.embedded_dns && !networks.serves_names(container);
    let namespace = networks.namespace(container)?;
    let sockets = networks
        .in_namespace(namespace, move |kernel, fd| {
            steps.iter().try_for_each(|step| kernel.join(fd, step))?;
            if opens_dns { kernel.open_sockets(fd).map(Some) } else { Ok(None) }
        })
        .await?;
    if let Some(sockets) = sockets {
        sandbox::serve_names(networks, container, now, sockets)?;
    }
    networks.refresh_scope(container, now);
    // The first way out may have come only now, and with it the published
    // ports' target.
    let change = Wanted::Ports { open: now.port_rules(), close: before.port_rules() };
    networks.firewall.change(change).await?;
    networks.publish_names(container, endpoint);
    Ok(())
}

/// Undoes what [`place`] wrote.
fn forget(networks: &Networks, container: &ContainerId, endpoint: &EndpointState) {
    let mut state = networks.lock();
    if let Some(placed) = state.sandboxes.get_mut(container) {
        placed.state.endpoints.retain(|e| e.endpoint_id != endpoint.endpoint_id);
        placed.state.embedded_dns = placed.state.endpoints.iter().any(|e| !e.dns_names.is_empty());
        let scope = placed.state.scope();
        placed.resolver.iter().for_each(|r| r.set(scope.clone()));
    }
    state.free(&endpoint.network, endpoint.ipv4);
    drop(state);
    networks.pool.sweep_later(vec![endpoint.host_link.clone()]);
}

impl Networks {
    /// Whether a container has its resolver.
    fn serves_names(&self, container: &ContainerId) -> bool {
        self.lock().sandboxes.get(container).is_some_and(|placed| placed.resolver.is_some())
    }

    /// Tells a container's resolver what it is to know now.
    pub(super) fn refresh_scope(&self, container: &ContainerId, now: &SandboxState) {
        if let Some(placed) = self.lock().sandboxes.get(container) {
            placed.resolver.iter().for_each(|resolver| resolver.set(now.scope()));
        }
    }
}
