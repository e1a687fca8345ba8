//! The tables: which networks there are, which containers are in them.
//!
//! Invariant: an address is taken in a network's allocator exactly while an
//! endpoint in `sandboxes`, a ready namespace of the pool, or a rule of the
//! firewall that could not be removed yet, has it.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    os::fd::OwnedFd,
    sync::Arc,
};

use shoal_model::{ContainerId, NetworkId};

use crate::{
    NetworkError, Result,
    bridge::Bridge,
    dns::{
        answer::View,
        server::{Scope, Served},
    },
    firewall::rules::{BridgeRules, PortRule},
    ipam::Allocator,
    ports::Reservation,
    spec::Network,
    state::{EndpointState, SandboxState},
    store::Forwarding,
    subnet::Subnet,
};

/// Everything known.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) networks: BTreeMap<NetworkId, Live>,
    pub(super) sandboxes: HashMap<ContainerId, Placed>,
    pub(super) forwarding: Forwarding,
}

/// A network.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) network: Arc<Network>,
    /// `None` for `host` and `none`.
    pub(super) bridge: Option<(Arc<Bridge>, Allocator)>,
    /// Being removed: nobody may join.
    pub(super) leaving: bool,
}

/// A container's place.
#[derive(Debug, Default)]
pub(super) struct Placed {
    pub(super) state: SandboxState,
    /// `None` on the host's network.
    pub(super) namespace: Option<Arc<OwnedFd>>,
    pub(super) ports: Vec<Reservation>,
    pub(super) resolver: Option<Served>,
}

impl State {
    /// The network with this id, name or unique beginning of an id.
    pub(super) fn resolve(&self, name_or_id: &str) -> Result<&Live> {
        let not_found = || NetworkError::NotFound(name_or_id.into());
        if name_or_id.is_empty() {
            return Err(not_found());
        }
        let all = || self.networks.values().filter(|live| !live.leaving);
        let exact = all()
            .find(|live| live.network.id.as_str() == name_or_id)
            .or_else(|| all().find(|live| live.network.name == name_or_id));
        if let Some(live) = exact {
            return Ok(live);
        }
        let mut begins = all().filter(|live| live.network.id.as_str().starts_with(name_or_id));
        let first = begins.next().ok_or_else(not_found)?;
        match begins.count() {
            0 => Ok(first),
            more => Err(NetworkError::Ambiguous { name: name_or_id.into(), matches: more + 1 }),
        }
    }

    /// The containers in a network, in the order of their ids.
    pub(super) fn members(
        &self,
        network: &NetworkId,
    ) -> Vec<(&ContainerId, &Placed, &EndpointState)> {
        let mut members: Vec<_> = self
            .sandboxes
            .iter()
            .filter_map(|(container, placed)| {
                Some((container, placed, placed.state.endpoint(network)?))
            })
            .collect();
        members.sort_by_key(|(container, ..)| *container);
        members
    }

    /// The subnets in use.
    pub(super) fn subnets(&self) -> Vec<Subnet> {
        self.bridges().map(|b| b.subnet).collect()
    }

    /// What the firewall needs to know.
    pub(super) fn bridge_rules(&self) -> Vec<BridgeRules> {
        self.bridges().map(|b| BridgeRules::from(&**b)).collect()
    }

    pub(super) fn bridges(&self) -> impl Iterator<Item = &Arc<Bridge>> {
        let present = self.networks.values().filter(|live| !live.leaving);
        present.filter_map(|live| live.bridge.as_ref().map(|(bridge, _)| bridge))
    }

    /// The bridge of a network.
    pub(super) fn bridge(&self, network: &NetworkId) -> Option<&Arc<Bridge>> {
        Some(&self.networks.get(network)?.bridge.as_ref()?.0)
    }

    /// Takes an address back.
    pub(super) fn free(&mut self, network: &NetworkId, address: Ipv4Addr) {
        if let Some((_, addresses)) =
            self.networks.get_mut(network).and_then(|live| live.bridge.as_mut())
        {
            addresses.free(address);
        }
    }

    /// The default bridge's own address.
    pub(super) fn default_gateway(&self) -> Ipv4Addr {
        let default = self.networks.values().find(|live| live.network.name == "bridge");
        let bridge = default.and_then(|live| live.bridge.as_ref());
        bridge.map_or(Ipv4Addr::UNSPECIFIED, |(bridge, _)| bridge.gateway)
    }

    /// The networks as stored.
    pub(super) fn stored(&self) -> Vec<Network> {
        self.networks.values().map(|live| Network::clone(&live.network)).collect()
    }

    /// Closes sockets and descriptors of every sandbox.
    pub(super) fn forget_sockets(&mut self) {
        for placed in self.sandboxes.values_mut() {
            placed.namespace = None;
            placed.resolver = None;
            placed.ports.clear();
        }
    }
}

impl SandboxState {
    /// The place in a network.
    pub(crate) fn endpoint(&self, network: &NetworkId) -> Option<&EndpointState> {
        self.endpoints.iter().find(|e| e.network == *network)
    }

    /// The endpoint that carries published ports: the first with a way out.
    pub fn publisher(&self) -> Option<&EndpointState> {
        self.endpoints.iter().find(|e| e.gateway.is_some())
    }

    /// The rules for the published ports.
    pub(crate) fn port_rules(&self) -> Vec<PortRule> {
        let Some(endpoint) = self.publisher() else { return Vec::new() };
        let rule = |bound: &crate::BoundPort| PortRule {
            protocol: bound.protocol,
            host_ip: bound.host_ip,
            host_port: bound.host_port,
            to: endpoint.ipv4,
            to_port: bound.container_port,
        };
        self.ports.iter().map(rule).collect()
    }

    /// What the embedded resolver is to know.
    pub(crate) fn scope(&self) -> Scope {
        let named = self.endpoints.iter().filter(|e| !e.dns_names.is_empty());
        let networks = named.map(|e| (e.network.clone(), e.network_name.clone())).collect();
        Scope {
            view: View { networks },
            servers: self.dns.servers.clone(),
            forwards: self.publisher().is_some(),
        }
    }
}
