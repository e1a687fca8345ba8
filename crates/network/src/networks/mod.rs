//! The networks of a node and the sandboxes in them.

use std::{net::Ipv4Addr, path::Path, sync::Arc};

use shoal_model::{ContainerId, NetworkId, Timestamp};

use crate::{
    Result,
    config::NetworkConfig,
    dns::{files::HostResolver, names::Names},
    request::{EndpointRequest, SandboxRequest},
    spec::{CreateNetwork, Network},
    state::{EndpointState, NetworkView, Sandbox, SandboxState},
};

/// The networks of a node. Cheap calls (`list`, `inspect`, `state`) are plain
/// functions; what touches the kernel is async and does its blocking work on
/// tokio's blocking threads. Cancelling a call leaves nothing behind that
/// [`Networks::release`] would not clear.
///
/// Order at start: [`Networks::open`], [`Networks::adopt`] for every container
/// that still runs, [`Networks::warm`], then sandboxes.
#[derive(Debug)]
pub struct Networks {}

impl Networks {
    /// Opens the networks stored under `root` and brings bridges, firewall and
    /// kernel settings to what they should be (after a reboot: from nothing).
    /// Must be called inside a tokio runtime, in the node's network namespace.
    ///
    /// # Errors
    /// When a stored network cannot be read or the kernel refuses.
    pub async fn open(root: &Path, config: NetworkConfig) -> Result<Arc<Self>> {
        let _ = (root, config);
        todo!()
    }

    /// Starts the background work: filling the pool of ready namespaces. Call
    /// it after every running container was adopted, otherwise a ready
    /// namespace could take the address of one of them.
    pub fn warm(self: &Arc<Self>) {
        todo!()
    }

    /// Stops background work and closes every socket; sandboxes stay as they
    /// are, for the next [`Networks::open`] to adopt.
    pub async fn close(&self) {
        todo!()
    }

    /// Makes a network.
    ///
    /// # Errors
    /// Name taken, addresses taken, an option or driver that is not known.
    pub async fn create(
        &self,
        request: CreateNetwork,
        id: NetworkId,
        now: Timestamp,
    ) -> Result<Arc<Network>> {
        let _ = (request, id, now);
        todo!()
    }

    /// All networks, by name.
    pub fn list(&self) -> Vec<NetworkView> {
        todo!()
    }

    /// The network with this name, id or unique beginning of an id.
    ///
    /// # Errors
    /// None or several fit.
    pub fn inspect(&self, name_or_id: &str) -> Result<NetworkView> {
        let _ = name_or_id;
        todo!()
    }

    /// Removes a network.
    ///
    /// # Errors
    /// Not there, predefined, or containers are in it.
    pub async fn remove(&self, name_or_id: &str) -> Result<Arc<Network>> {
        let _ = name_or_id;
        todo!()
    }

    /// Gives a starting container its place. On an error nothing is left.
    ///
    /// # Errors
    /// A network that is not there, an address or port in use, pools
    /// exhausted, or a sandbox for this container that was not released.
    pub async fn sandbox(
        &self,
        container: &ContainerId,
        request: SandboxRequest,
    ) -> Result<Sandbox> {
        let _ = (container, request);
        todo!()
    }

    /// Takes over a container that kept running while the daemon was away:
    /// its addresses, ports, names. `pid` is any process in its network
    /// namespace (ignored for `host`).
    ///
    /// # Errors
    /// The process or a network is gone.
    pub async fn adopt(
        &self,
        container: &ContainerId,
        pid: u32,
        saved: SandboxState,
    ) -> Result<()> {
        let _ = (container, pid, saved);
        todo!()
    }

    /// Ends a container's place: ports closed, names and addresses free. Goes
    /// on past errors. A container without a sandbox is fine.
    ///
    /// # Errors
    /// The first failure, after everything was tried.
    pub async fn release(&self, container: &ContainerId) -> Result<()> {
        let _ = container;
        todo!()
    }

    /// Joins a running container to one more network.
    ///
    /// # Errors
    /// As [`Networks::sandbox`]; also when it is in the network already, or
    /// in `host` or `none`.
    pub async fn connect(
        &self,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<EndpointState> {
        let _ = (container, request);
        todo!()
    }

    /// Takes a running container out of a network.
    ///
    /// # Errors
    /// It has no sandbox or is not in the network.
    pub async fn disconnect(&self, container: &ContainerId, network: &str) -> Result<()> {
        let _ = (container, network);
        todo!()
    }

    /// A container's place as it is now; `None` without a sandbox.
    pub fn state(&self, container: &ContainerId) -> Option<SandboxState> {
        let _ = container;
        todo!()
    }

    /// Follows a container's new name in DNS and inspect.
    pub fn rename(&self, container: &ContainerId, name: &str) {
        let _ = (container, name);
        todo!()
    }

    /// The table of names, for what else has names here (services).
    pub fn names(&self) -> &Names {
        todo!()
    }

    /// The host as seen from containers (`--add-host x:host-gateway`): the
    /// default bridge's own address.
    pub fn host_gateway(&self) -> Ipv4Addr {
        todo!()
    }

    /// The host's resolvers as they are now.
    pub fn host_resolver(&self) -> HostResolver {
        todo!()
    }
}
