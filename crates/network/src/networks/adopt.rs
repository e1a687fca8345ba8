//! Taking over a container that ran on while the daemon was away.

use std::sync::Arc;

use shoal_model::{Classify as _, ContainerId};
use shoal_sys::netns;

use super::{Networks, sandbox, state::Placed};
use crate::{NetworkError, Result, firewall::apply::Wanted, state::SandboxState};

/// The container runs, whatever fails here: it keeps its links and addresses,
/// and what cannot be had again is left out.
pub(super) async fn adopt(
    networks: &Arc<Networks>,
    container: &ContainerId,
    pid: u32,
    saved: SandboxState,
) -> Result<()> {
    let mut failures = Failures { container, first: None };
    let mut state = place(networks, &mut failures, saved)?;
    if !state.host {
        hold_ports(networks, &mut failures, &mut state);
        match furnish(networks, container, pid, &state).await {
            Ok(()) => {}
            Err(error) => failures.add(error),
        }
        state.endpoints.iter().for_each(|e| networks.publish_names(container, e));
        let rules = Wanted::Adopted(state.port_rules());
        if let Err(error) = networks.firewall.change(rules).await {
            failures.add(error);
        }
    }
    failures.first.map_or(Ok(()), Err)
}

/// What went wrong; the caller hears of the first.
struct Failures<'a> {
    container: &'a ContainerId,
    first: Option<NetworkError>,
}

impl Failures<'_> {
    fn add(&mut self, error: NetworkError) {
        if self.first.is_none() {
            self.first = Some(error);
        } else {
            tracing::warn!(error = %error.chain(), container = self.container.short(), "also not taken over");
        }
    }
}

/// Writes the container down with the addresses it has. An address that is
/// somebody else's by now is not the container's to give back.
fn place(
    networks: &Networks,
    failures: &mut Failures<'_>,
    mut saved: SandboxState,
) -> Result<SandboxState> {
    let mut state = networks.lock();
    let container = failures.container;
    if state.sandboxes.contains_key(container) {
        let text = format!("container {} has a network sandbox already", container.short());
        return Err(NetworkError::Conflict(text));
    }
    saved.endpoints.retain(|endpoint| {
        let taken = match state.networks.get_mut(&endpoint.network) {
            None => Err(NetworkError::NotFound(endpoint.network_name.clone())),
            Some(live) => match &mut live.bridge {
                Some((_, addresses)) => addresses
                    .exactly(endpoint.ipv4)
                    .map_err(|_| NetworkError::AddressInUse(endpoint.ipv4)),
                None => Ok(()),
            },
        };
        let kept = taken.is_ok();
        taken.unwrap_or_else(|error| failures.add(error));
        kept
    });
    let placed = Placed { state: saved.clone(), ..Placed::default() };
    state.sandboxes.insert(container.clone(), placed);
    Ok(saved)
}

/// Holds the published ports again. One that another container has is not this
/// one's any more.
fn hold_ports(networks: &Networks, failures: &mut Failures<'_>, state: &mut SandboxState) {
    let publisher = state.publisher().map(|e| e.endpoint_id.clone()).unwrap_or_default();
    let mut held = Vec::new();
    state.ports.retain(|bound| match networks.ports.restore(*bound) {
        Ok(reservation) => {
            held.push(reservation);
            true
        }
        Err(cause) => {
            let (endpoint, endpoint_id) = (state.name.clone(), publisher.clone());
            failures.add(NetworkError::Publish { endpoint, endpoint_id, cause });
            false
        }
    });
    if let Some(placed) = networks.lock().sandboxes.get_mut(failures.container) {
        placed.state.ports.clone_from(&state.ports);
        placed.ports = held;
    }
}

async fn furnish(
    networks: &Arc<Networks>,
    container: &ContainerId,
    pid: u32,
    state: &SandboxState,
) -> Result<()> {
    let namespace = netns::of_process(pid)
        .map_err(|e| NetworkError::system(format!("open the namespace of process {pid}"), e))?;
    sandbox::keep_namespace(networks, container, namespace)?;
    if state.embedded_dns {
        let namespace = networks.namespace(container)?;
        let opened = networks.in_namespace(namespace, |kernel, fd| kernel.open_sockets(fd));
        sandbox::serve_names(networks, container, state, opened.await?)?;
    }
    Ok(())
}
