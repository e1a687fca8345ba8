//! Deciding where a container goes: all checks and all bookkeeping of a new
//! endpoint, under the lock, before anything is done.

use std::net::Ipv4Addr;

use shoal_model::{ContainerId, NetworkId};

use super::state::{Live, State};
use crate::{
    NetworkError, Result, ipam::AllocateError, link::name, mac::MacAddr, request::EndpointRequest,
    spec::Driver, state::EndpointState,
};

/// 64 random hexadecimal characters, in the form of the engine's ids.
pub(super) fn new_endpoint_id() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| NetworkError::system("draw an endpoint's id", std::io::Error::other(e)))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Who asks for an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) container: &'a ContainerId,
    pub(super) name: &'a str,
    pub(super) hostname: &'a str,
    /// Number of the link inside.
    pub(super) index: usize,
}

/// Takes an address in one network and writes the endpoint down. Nothing is
/// taken when this fails.
pub(super) fn claim(
    state: &mut State,
    asker: Asker<'_>,
    request: &EndpointRequest,
) -> Result<EndpointState> {
    let id = state.resolve(&request.network)?.network.id.clone();
    let endpoint_id = new_endpoint_id()?;
    let live = state
        .networks
        .get_mut(&id)
        .ok_or_else(|| NetworkError::NotFound(request.network.clone()))?;
    check(live, request)?;
    let mut endpoint = EndpointState {
        endpoint_id,
        network: id,
        network_name: live.network.name.clone(),
        link: String::new(),
        host_link: String::new(),
        ipv4: Ipv4Addr::UNSPECIFIED,
        prefix: 0,
        gateway: None,
        mac: None,
        aliases: request.aliases.clone(),
        dns_names: Vec::new(),
    };
    if live.bridge.is_some() {
        endpoint.ipv4 = take_address(live, request.ipv4)?;
        settle(&mut endpoint, live, asker, request);
    }
    Ok(endpoint)
}

/// Fills in what follows from the network and the address.
fn settle(endpoint: &mut EndpointState, live: &Live, asker: Asker<'_>, request: &EndpointRequest) {
    let Some((bridge, _)) = &live.bridge else { return };
    endpoint.link = name::container_end(asker.index);
    endpoint.host_link = name::host_end(&endpoint.endpoint_id);
    endpoint.prefix = bridge.subnet.prefix();
    endpoint.gateway = (!bridge.internal).then_some(bridge.gateway);
    endpoint.mac = Some(request.mac.unwrap_or_else(|| MacAddr::for_ipv4(endpoint.ipv4)));
    if !live.network.is_predefined() {
        endpoint.dns_names = dns_names(asker, &request.aliases);
    }
}

/// Docker's: the container's name, its aliases, its short id, its host name; each once.
pub(super) fn dns_names(asker: Asker<'_>, aliases: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let aliases = aliases.iter().map(String::as_str);
    let last = [asker.container.short(), asker.hostname];
    for name in std::iter::once(asker.name).chain(aliases).chain(last) {
        if !name.is_empty() && !names.iter().any(|n| n == name) {
            names.push(name.into());
        }
    }
    names
}

/// Whether the network takes what is asked of it.
pub(super) fn check(live: &Live, request: &EndpointRequest) -> Result<()> {
    let network = &live.network;
    let invalid = |text: &str| Err(NetworkError::Invalid(text.into()));
    if network.driver != Driver::Bridge {
        let asks = request.ipv4.is_some() || request.mac.is_some();
        return match asks {
            true => invalid("conflicting options: address and the network mode"),
            false => Ok(()),
        };
    }
    if network.is_predefined() {
        if request.ipv4.is_some() {
            return invalid("user specified IP address is supported on user defined networks only");
        }
        if !request.aliases.is_empty() {
            return invalid(
                "network-scoped alias is supported only for containers in user defined networks",
            );
        }
    }
    if request.ipv4.is_some() && !network.ipam.user_subnet {
        return invalid(
            "user specified IP address is supported only when connecting to networks with user \
             configured subnets",
        );
    }
    Ok(())
}

/// Takes any address of a network.
pub(super) fn any_address(state: &mut State, network: &NetworkId) -> Result<Ipv4Addr> {
    match state.networks.get_mut(network) {
        Some(live) => take_address(live, None),
        None => Err(NetworkError::NotFound(network.to_string())),
    }
}

fn take_address(live: &mut Live, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr> {
    let network = std::sync::Arc::clone(&live.network);
    let Some((_, addresses)) = &mut live.bridge else { return Ok(Ipv4Addr::UNSPECIFIED) };
    let result = match wanted {
        Some(address) => addresses.exactly(address).map(|()| address),
        None => addresses.any(),
    };
    result.map_err(|error| match (error, wanted) {
        (AllocateError::InUse, Some(address)) => NetworkError::AddressInUse(address),
        (AllocateError::Outside, Some(address)) => {
            NetworkError::Invalid(format!("no configured subnet contains IP address {address}"))
        }
        _ => NetworkError::AddressesExhausted {
            name: network.name.clone(),
            id: network.id.to_string(),
        },
    })
}
