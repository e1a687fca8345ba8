//! Making a network: all checks, then the file, then the kernel.
//!
//! The file comes first, so that a bridge is never without its network: after
//! a crash in between, the network is there and its bridge is made at the next
//! start.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::{Classify as _, NetworkId, Timestamp, names};

use super::{Networks, state::Live};
use crate::{
    NetworkError, Result,
    bridge::Bridge,
    firewall::apply::Wanted,
    ipam::{self, Allocator},
    link::name,
    routes,
    spec::{CreateNetwork, Driver, Network, is_predefined},
};

pub(super) async fn create(
    networks: &Arc<Networks>,
    request: CreateNetwork,
    id: NetworkId,
    now: Timestamp,
) -> Result<Arc<Network>> {
    let _turn = networks.changing.lock().await;
    let network = design(networks, request, id, now)?;
    let bridge = Bridge::of(&network, &networks.config)?.map(Arc::new);
    if let Some(bridge) = &bridge {
        check_bridge(networks, bridge)?;
    }
    let network = Arc::new(network);
    let addresses = network.ipam.pools.first().map(Allocator::new);
    let live = Live {
        network: Arc::clone(&network),
        bridge: bridge.clone().zip(addresses),
        leaving: false,
    };
    networks.lock().networks.insert(network.id.clone(), live);
    let made = make(networks, bridge.as_ref()).await;
    if made.is_err() {
        undo(networks, &network.id, bridge.as_ref()).await;
    }
    made.map(|()| network)
}

/// Checks the request against its own rules and against the other networks.
fn design(
    networks: &Networks,
    request: CreateNetwork,
    id: NetworkId,
    now: Timestamp,
) -> Result<Network> {
    check_name(&request.name)?;
    check_not_built(&request)?;
    match request.driver.as_str() {
        "" | "bridge" => {}
        "host" => return Err(NetworkError::OnlyOne("host")),
        "null" | "none" => return Err(NetworkError::OnlyOne("null")),
        other => return Err(NetworkError::NotImplemented(format!("network driver {other}"))),
    }
    let state = networks.lock();
    if state.networks.values().any(|live| live.network.name == request.name) {
        return Err(NetworkError::NameTaken(request.name));
    }
    let defaults = &networks.config.pools;
    let ipam = ipam::choose(&request.ipam, defaults, &state.subnets(), &routes::destinations())?;
    Ok(Network {
        id,
        name: request.name,
        created: now,
        driver: Driver::Bridge,
        internal: request.internal,
        attachable: request.attachable,
        ipam,
        options: request.options,
        labels: request.labels,
    })
}

fn check_name(name: &str) -> Result<()> {
    if is_predefined(name) {
        return Err(NetworkError::PredefinedName(name.into()));
    }
    names::check_network(name).map_err(|e| NetworkError::Invalid(e.to_string()))
}

fn check_not_built(request: &CreateNetwork) -> Result<()> {
    let refused = |what: &str| Err(NetworkError::NotImplemented(what.into()));
    if request.enable_ipv6 {
        return refused("IPv6 in a network");
    }
    if request.ingress {
        return refused("an ingress network");
    }
    match request.scope.as_str() {
        "" | "local" => Ok(()),
        other => refused(&format!("network scope {other}")),
    }
}

/// A bridge must be ours alone: it goes with its network.
fn check_bridge(networks: &Networks, bridge: &Bridge) -> Result<()> {
    let taken = networks.lock().bridges().any(|other| other.link == bridge.link);
    if taken || networks.kernel.has_link(&bridge.link) {
        return Err(NetworkError::Conflict(format!("link {} exists already", bridge.link)));
    }
    Ok(())
}

async fn make(networks: &Arc<Networks>, bridge: Option<&Arc<Bridge>>) -> Result<()> {
    networks.save().await?;
    let Some(bridge) = bridge.map(Arc::clone) else { return Ok(()) };
    let kernel = Arc::clone(&networks.kernel);
    networks.blocking(move || kernel.ensure_bridge(&bridge)).await?;
    let rules = networks.lock().bridge_rules();
    networks.firewall.change(Wanted::Bridges(rules)).await
}

async fn undo(networks: &Arc<Networks>, id: &NetworkId, bridge: Option<&Arc<Bridge>>) {
    networks.lock().networks.remove(id);
    let rules = networks.lock().bridge_rules();
    let mut results = vec![networks.firewall.change(Wanted::Bridges(rules)).await];
    if let Some(link) = bridge.map(|b| b.link.clone()) {
        let kernel = Arc::clone(&networks.kernel);
        results.push(networks.blocking(move || kernel.delete_link(&link)).await);
    }
    results.push(networks.save().await);
    for error in results.into_iter().filter_map(Result::err) {
        tracing::warn!(error = %error.chain(), network = id.short(), "failed creation not undone");
    }
}

impl Networks {
    /// Writes the networks to disk.
    pub(super) async fn save(self: &Arc<Self>) -> Result<()> {
        let this = Arc::clone(self);
        self.blocking(move || {
            let (forwarding, stored) = {
                let state = this.lock();
                (state.forwarding.clone(), state.stored())
            };
            this.store.save(&forwarding, stored)
        })
        .await
    }
}

/// The networks every node has, those of them that are missing.
pub(super) fn predefined(
    networks: &super::state::State,
    config: &crate::NetworkConfig,
    now: Timestamp,
    mut new_id: impl FnMut() -> Result<NetworkId>,
) -> Result<Vec<Network>> {
    let mut missing = Vec::new();
    for (name, driver) in
        [("bridge", Driver::Bridge), ("host", Driver::Host), ("none", Driver::Null)]
    {
        if networks.networks.values().any(|live| live.network.name == name) {
            continue;
        }
        let mut network = Network {
            id: new_id()?,
            name: name.into(),
            created: now,
            driver,
            internal: false,
            attachable: false,
            ipam: crate::NetworkIpam::default(),
            options: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        if driver == Driver::Bridge {
            network.options = Bridge::default_options(config);
            network.ipam.pools.push(default_pool(networks, config)?);
        }
        missing.push(network);
    }
    Ok(missing)
}

/// The addresses of the network `bridge`.
fn default_pool(
    state: &super::state::State,
    config: &crate::NetworkConfig,
) -> Result<crate::PoolSpec> {
    let (gateway, subnet) = match config.default_subnet {
        Some((gateway, subnet)) => (gateway, subnet),
        None => {
            let subnet =
                ipam::default_pool(&config.pools, &state.subnets(), &routes::destinations())?;
            (std::net::Ipv4Addr::from(u32::from(subnet.base()) + 1), subnet)
        }
    };
    if !name::is_valid(&config.default_bridge) {
        let text = format!("invalid bridge name {:?}", config.default_bridge);
        return Err(NetworkError::Invalid(text));
    }
    Ok(crate::PoolSpec { subnet, ip_range: None, gateway, aux_addresses: BTreeMap::new() })
}
