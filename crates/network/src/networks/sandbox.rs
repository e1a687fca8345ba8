//! Giving a starting container its place: checks and bookkeeping first, then
//! the kernel, then ports, then names. What fails undoes all of it.

use std::{
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use shoal_model::{ContainerId, NetworkId};

use super::{
    Networks,
    claim::{self, Asker},
    kernel::{Built, Step},
    pool::Ready,
    release,
    state::{Placed, State},
};
use crate::{
    NetworkError, Result,
    dns::server::Sockets,
    firewall::apply::Wanted,
    link::plan::EndpointPlan,
    mac::MacAddr,
    ports,
    request::{EndpointRequest, PortRequest, SandboxRequest},
    spec::Driver,
    state::{EndpointState, Netns, Sandbox, SandboxState},
};

pub(super) async fn sandbox(
    networks: &Arc<Networks>,
    container: &ContainerId,
    request: SandboxRequest,
) -> Result<Sandbox> {
    let (state, ready) = place(networks, container, &request)?;
    match furnish(networks, container, &state, &request.ports, ready).await {
        Ok(sandbox) => Ok(sandbox),
        Err(error) => {
            if let Err(second) = release::release(networks, container).await {
                tracing::warn!(error = %second, container = container.short(), "sandbox not undone");
            }
            Err(error)
        }
    }
}

/// Writes the container down in its networks. Nothing is written when this
/// fails.
fn place(
    networks: &Networks,
    container: &ContainerId,
    request: &SandboxRequest,
) -> Result<(SandboxState, Option<Ready>)> {
    request.ports.iter().try_for_each(ports::check)?;
    let mut state = networks.lock();
    if state.sandboxes.contains_key(container) {
        let text = format!("container {} has a network sandbox already", container.short());
        return Err(NetworkError::Conflict(text));
    }
    check_company(&state, &request.endpoints)?;
    let mut placed = SandboxState {
        name: request.name.clone(),
        hostname: request.hostname.clone(),
        dns: request.dns.clone(),
        ..SandboxState::default()
    };
    let ready = take_ready(networks, &state, &request.endpoints);
    match &ready {
        Some(ready) => placed.endpoints.push(ready_endpoint(&state, ready)?),
        None => {
            for (index, wanted) in request.endpoints.iter().enumerate() {
                let (name, hostname) = (&request.name, &request.hostname);
                let asker = Asker { container, name, hostname, index };
                match claim::claim(&mut state, asker, wanted) {
                    Ok(endpoint) => placed.endpoints.push(endpoint),
                    Err(error) => {
                        placed.endpoints.iter().for_each(|e| state.free(&e.network, e.ipv4));
                        return Err(error);
                    }
                }
            }
        }
    }
    placed.host = is_host(&state, &placed);
    placed.embedded_dns = placed.endpoints.iter().any(|e| !e.dns_names.is_empty());
    state
        .sandboxes
        .insert(container.clone(), Placed { state: placed.clone(), ..Placed::default() });
    Ok((placed, ready))
}

/// `host` and `none` stand alone, and nobody joins a network twice.
fn check_company(state: &State, endpoints: &[EndpointRequest]) -> Result<()> {
    let mut ids: Vec<NetworkId> = Vec::new();
    for endpoint in endpoints {
        let network = &state.resolve(&endpoint.network)?.network;
        if network.driver != Driver::Bridge && endpoints.len() > 1 {
            return Err(alone(network.driver));
        }
        if ids.contains(&network.id) {
            return Err(NetworkError::Invalid(format!("network {} is given twice", network.name)));
        }
        ids.push(network.id.clone());
    }
    Ok(())
}

/// Refuses what no sandbox could be, whatever addresses are free.
pub(super) fn check(state: &State, endpoints: &[EndpointRequest]) -> Result<()> {
    check_company(state, endpoints)?;
    endpoints.iter().try_for_each(|one| claim::check(state.resolve(&one.network)?, one))
}

/// What Docker says to those who want more than `host` or `none`.
pub(super) fn alone(driver: Driver) -> NetworkError {
    let text = match driver {
        Driver::Null => {
            "container cannot be connected to multiple networks with one of the networks in \
             private (none) mode"
        }
        _ => {
            "container sharing network namespace with another container or host cannot be \
             connected to any other network"
        }
    };
    NetworkError::Forbidden(text.into())
}

/// A ready namespace, if one fits: the default bridge alone, nothing special.
fn take_ready(networks: &Networks, state: &State, endpoints: &[EndpointRequest]) -> Option<Ready> {
    let [one] = endpoints else { return None };
    let network = &state.resolve(&one.network).ok()?.network;
    let plain = one.ipv4.is_none() && one.mac.is_none() && one.aliases.is_empty();
    if network.name == "bridge" && plain { networks.pool.take() } else { None }
}

fn ready_endpoint(state: &State, ready: &Ready) -> Result<EndpointState> {
    let gone = || NetworkError::NotFound("bridge".into());
    let bridge = state.bridge(&ready.network).ok_or_else(gone)?;
    Ok(EndpointState {
        endpoint_id: ready.endpoint_id.clone(),
        network: ready.network.clone(),
        network_name: "bridge".into(),
        link: crate::link::name::container_end(0),
        host_link: crate::link::name::host_end(&ready.endpoint_id),
        ipv4: ready.ipv4,
        prefix: bridge.subnet.prefix(),
        gateway: Some(bridge.gateway),
        mac: Some(MacAddr::for_ipv4(ready.ipv4)),
        aliases: Vec::new(),
        dns_names: Vec::new(),
    })
}

fn is_host(state: &State, placed: &SandboxState) -> bool {
    let driver = |e: &EndpointState| Some(state.networks.get(&e.network)?.network.driver);
    placed.endpoints.iter().any(|e| driver(e) == Some(Driver::Host))
}

/// Makes what was written down.
async fn furnish(
    networks: &Arc<Networks>,
    container: &ContainerId,
    state: &SandboxState,
    ports: &[PortRequest],
    ready: Option<Ready>,
) -> Result<Sandbox> {
    if state.host {
        return Ok(Sandbox { netns: Netns::Host, state: state.clone() });
    }
    reserve_ports(networks, container, state, ports)?;
    let built = match ready {
        Some(ready) => Built { namespace: ready.namespace, sockets: None },
        None => networks.build(networks.steps(state)?, state.embedded_dns).await?,
    };
    let netns = keep_namespace(networks, container, built.namespace)?;
    if let Some(sockets) = built.sockets {
        serve_names(networks, container, state, sockets)?;
    }
    let state = networks.state(container).unwrap_or_default();
    let rules = state.port_rules();
    if !rules.is_empty() {
        networks.firewall.change(Wanted::Ports { open: rules, close: Vec::new() }).await?;
    }
    state.endpoints.iter().for_each(|e| networks.publish_names(container, e));
    Ok(Sandbox { netns: Netns::Fd(netns), state })
}

/// Holds the published ports. Without an endpoint that has a way in, nothing
/// is published, as in Docker.
fn reserve_ports(
    networks: &Networks,
    container: &ContainerId,
    state: &SandboxState,
    ports: &[PortRequest],
) -> Result<()> {
    let Some(endpoint) = state.publisher() else { return Ok(()) };
    let default_ip = networks
        .lock()
        .bridge(&endpoint.network)
        .map_or(Ipv4Addr::UNSPECIFIED, |bridge| bridge.host_binding);
    for request in ports {
        let reservation =
            networks.ports.reserve(request, default_ip, endpoint.ipv4).map_err(|cause| {
                NetworkError::Publish {
                    endpoint: state.name.clone(),
                    endpoint_id: endpoint.endpoint_id.clone(),
                    cause,
                }
            })?;
        if let Some(placed) = networks.lock().sandboxes.get_mut(container) {
            placed.state.ports.push(reservation.bound);
            placed.ports.push(reservation);
        }
    }
    Ok(())
}

/// Keeps the namespace with the sandbox and gives a copy to the caller.
pub(super) fn keep_namespace(
    networks: &Networks,
    container: &ContainerId,
    namespace: OwnedFd,
) -> Result<OwnedFd> {
    let copy = namespace
        .try_clone()
        .map_err(|e| NetworkError::system("copy a namespace's descriptor", e))?;
    if let Some(placed) = networks.lock().sandboxes.get_mut(container) {
        placed.namespace = Some(Arc::new(namespace));
    }
    Ok(copy)
}

/// Starts the embedded resolver of a container.
pub(super) fn serve_names(
    networks: &Networks,
    container: &ContainerId,
    state: &SandboxState,
    sockets: Sockets,
) -> Result<()> {
    let served = networks
        .resolver
        .serve(sockets, state.scope())
        .map_err(|e| NetworkError::system("start the embedded resolver", e))?;
    if let Some(placed) = networks.lock().sandboxes.get_mut(container) {
        placed.resolver = Some(served);
    }
    Ok(())
}

impl Networks {
    /// What to make for the endpoints of a sandbox.
    pub(super) fn steps(&self, placed: &SandboxState) -> Result<Vec<Step>> {
        let state = self.lock();
        let carrier = placed.publisher().map(|e| &e.endpoint_id);
        let mut steps = Vec::new();
        for endpoint in &placed.endpoints {
            let (Some(mac), Some(bridge)) = (endpoint.mac, state.bridge(&endpoint.network)) else {
                continue;
            };
            let carries = carrier == Some(&endpoint.endpoint_id);
            steps.push(Step {
                network_name: endpoint.network_name.clone(),
                bridge: Arc::clone(bridge),
                plan: EndpointPlan::new(endpoint, mac, carries),
            });
        }
        Ok(steps)
    }

    /// Makes a namespace on a blocking thread, a few at a time.
    pub(super) async fn build(&self, steps: Vec<Step>, dns: bool) -> Result<Built> {
        // Never closed, so a permit always comes.
        let _permit = self.builders.acquire().await.ok();
        let kernel = Arc::clone(&self.kernel);
        self.blocking(move || kernel.build(&steps, dns)).await
    }

    /// The namespace of a sandbox.
    pub(super) fn namespace(&self, container: &ContainerId) -> Result<Arc<OwnedFd>> {
        let state = self.lock();
        let placed = state.sandboxes.get(container);
        let namespace = placed.and_then(|placed| placed.namespace.clone());
        namespace.ok_or_else(|| NetworkError::NoSandbox(container.short().into()))
    }

    /// Runs `work` in turn with other changes, on a blocking thread, with the
    /// kernel and a namespace.
    pub(super) async fn in_namespace<T: Send + 'static>(
        &self,
        namespace: Arc<OwnedFd>,
        work: impl FnOnce(&super::kernel::Kernel, std::os::fd::BorrowedFd<'_>) -> Result<T>
        + Send
        + 'static,
    ) -> Result<T> {
        let kernel = Arc::clone(&self.kernel);
        self.blocking(move || work(&kernel, namespace.as_fd())).await
    }
}
