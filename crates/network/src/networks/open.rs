//! Bringing the node's networks up, after a restart of the daemon as after a
//! reboot: from what is stored to what the kernel has, whatever it has now.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use shoal_model::{NetworkId, Timestamp};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    BUILDERS, Networks, create,
    kernel::Kernel,
    pool::Pool,
    state::{Live, State},
};
use crate::{
    NetworkConfig, NetworkError, Result,
    bridge::Bridge,
    dns::{names::Names, server::Resolver},
    firewall::{apply::Firewall, rules::Rules},
    ipam::Allocator,
    link::name::BRIDGE_PREFIX_MAX_BYTES,
    spec::Network,
    store::{self, Contents, Forwarding, Store},
    sysctl,
};

pub(super) async fn open(root: &Path, config: NetworkConfig) -> Result<Arc<Networks>> {
    if config.bridge_prefix.len() > BRIDGE_PREFIX_MAX_BYTES {
        let text = format!("bridge prefix {:?} is too long", config.bridge_prefix);
        return Err(NetworkError::Invalid(text));
    }
    let root = root.to_owned();
    let settings = config.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&root, &settings)).await;
    let (store, state, kernel) = match prepared {
        Ok(result) => result?,
        Err(error) => return Err(NetworkError::system("open networks", error.into())),
    };
    let tasks = TaskTracker::new();
    let rules = Rules {
        bridges: state.bridge_rules(),
        ports: Default::default(),
        router: state.forwarding.before,
    };
    let firewall = Firewall::start(config.nft.clone(), rules, &tasks);
    let names = Arc::new(Names::default());
    let stop = CancellationToken::new();
    let resolv_conf = config.resolv_conf.clone();
    let resolver = Resolver::new(Arc::clone(&names), resolv_conf, tasks.clone(), stop.clone());
    Ok(Arc::new(Networks {
        pool: Pool::new(config.pool_size),
        config,
        store,
        state: Mutex::new(state),
        kernel: Arc::new(kernel),
        firewall,
        ports: Arc::default(),
        names,
        resolver,
        changing: tokio::sync::Mutex::default(),
        turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        deal: Default::default(),
        builders: Semaphore::new(BUILDERS),
        tasks,
        stop,
    }))
}

/// Reads the file and sees to the kernel's side.
fn prepare(root: &Path, config: &NetworkConfig) -> Result<(Store, State, Kernel)> {
    let store = Store::open(root)?;
    let Contents { forwarding, networks } = store.load()?;
    let kernel = Kernel::open()?;
    let mut state = State { forwarding: look_at_forwarding(forwarding)?, ..State::default() };
    for stored in networks {
        let network = follow_config(stored.clone(), config);
        drop_stale(&kernel, &stored, &network, config)?;
        admit(&mut state, network, config)?;
    }
    for network in create::predefined(&state, config, now(), new_id)? {
        admit(&mut state, network, config)?;
    }
    store.save(&state.forwarding, state.stored())?;
    for bridge in state.bridges() {
        kernel.ensure_bridge(bridge)?;
    }
    Ok((store, state, kernel))
}

fn admit(state: &mut State, network: Network, config: &NetworkConfig) -> Result<()> {
    let bridge = Bridge::of(&network, config)?.map(Arc::new);
    let addresses = network.ipam.pools.first().map(Allocator::new);
    let live = Live { bridge: bridge.zip(addresses), network: Arc::new(network), leaving: false };
    state.networks.insert(live.network.id.clone(), live);
    Ok(())
}

/// What the configuration says about the default bridge goes before what is
/// stored.
fn follow_config(mut network: Network, config: &NetworkConfig) -> Network {
    if network.name == "bridge" {
        network.options = Bridge::default_options(config);
        if let (Some((gateway, subnet)), Some(pool)) =
            (config.default_subnet, network.ipam.pools.first_mut())
        {
            pool.gateway = gateway;
            pool.subnet = subnet;
        }
    }
    network
}

/// Removes the bridge of an earlier configuration: its address, or the whole of
/// it, would stay beside the new one.
fn drop_stale(kernel: &Kernel, old: &Network, new: &Network, config: &NetworkConfig) -> Result<()> {
    let place = |bridge: &Bridge| (bridge.link.clone(), bridge.gateway, bridge.subnet);
    let (old, new) = (Bridge::of(old, config)?, Bridge::of(new, config)?);
    match old {
        Some(old) if Some(place(&old)) != new.as_ref().map(place) => kernel.delete_link(&old.link),
        _ => Ok(()),
    }
}

/// Whether the node forwards packets on its own. It is not made to here: first the answer is
/// stored, and the table is in place that keeps it from forwarding for everybody (see
/// [`Networks::warm`]).
fn look_at_forwarding(stored: Forwarding) -> Result<Forwarding> {
    let place = store::place();
    // Only the first look since boot tells; later ones see our own doing.
    if stored.place == place {
        return Ok(stored);
    }
    Ok(Forwarding { place, before: sysctl::forwards()? })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn new_id() -> Result<NetworkId> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| NetworkError::system("draw a network's id", std::io::Error::other(e)))?;
    Ok(NetworkId::from_bytes(bytes))
}
