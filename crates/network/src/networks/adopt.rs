//! Taking over a container that ran on while the daemon was away.

use std::sync::Arc;

use shoal_model::ContainerId;
use shoal_sys::netns;

use super::{Networks, release, sandbox, state::Placed};
use crate::{NetworkError, Result, firewall::apply::Wanted, state::SandboxState};

pub(super) async fn adopt(
    networks: &Arc<Networks>,
    container: &ContainerId,
    pid: u32,
    saved: SandboxState,
) -> Result<()> {
    place(networks, container, &saved)?;
    let furnished = furnish(networks, container, pid, &saved).await;
    if furnished.is_err()
        && let Err(second) = release::release(networks, container).await
    {
        tracing::warn!(error = %second, container = container.short(), "adoption not undone");
    }
    furnished
}

/// Writes the container down with the addresses it has.
fn place(networks: &Networks, container: &ContainerId, saved: &SandboxState) -> Result<()> {
    let mut state = networks.lock();
    if state.sandboxes.contains_key(container) {
        let text = format!("container {} has a network sandbox already", container.short());
        return Err(NetworkError::Conflict(text));
    }
    for (index, endpoint) in saved.endpoints.iter().enumerate() {
        let taken = match state.networks.get_mut(&endpoint.network) {
            None => Err(NetworkError::NotFound(endpoint.network_name.clone())),
            Some(live) => match &mut live.bridge {
                Some((_, addresses)) => addresses
                    .exactly(endpoint.ipv4)
                    .map_err(|_| NetworkError::AddressInUse(endpoint.ipv4)),
                None => Ok(()),
            },
        };
        if let Err(error) = taken {
            saved.endpoints[..index].iter().for_each(|e| state.free(&e.network, e.ipv4));
            return Err(error);
        }
    }
    let placed = Placed { state: saved.clone(), ..Placed::default() };
    state.sandboxes.insert(container.clone(), placed);
    Ok(())
}

async fn furnish(
    networks: &Arc<Networks>,
    container: &ContainerId,
    pid: u32,
    saved: &SandboxState,
) -> Result<()> {
    if saved.host {
        return Ok(());
    }
    let namespace = netns::of_process(pid)
        .map_err(|e| NetworkError::system(format!("open the namespace of process {pid}"), e))?;
    sandbox::keep_namespace(networks, container, namespace)?;
    for bound in &saved.ports {
        let held = networks.ports.restore(*bound).map_err(|cause| NetworkError::Publish {
            endpoint: saved.name.clone(),
            endpoint_id: saved.publisher().map(|e| e.endpoint_id.clone()).unwrap_or_default(),
            cause,
        })?;
        if let Some(placed) = networks.lock().sandboxes.get_mut(container) {
            placed.ports.push(held);
        }
    }
    if saved.embedded_dns {
        let namespace = networks.namespace(container)?;
        let opened = networks.in_namespace(namespace, |kernel, fd| kernel.open_sockets(fd));
        sandbox::serve_names(networks, container, saved, opened.await?)?;
    }
    saved.endpoints.iter().for_each(|e| networks.publish_names(container, e));
    networks.firewall.change(Wanted::Adopted(saved.port_rules())).await
}
