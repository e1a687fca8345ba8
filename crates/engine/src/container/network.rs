//! Joins containers to networks, and takes them out.

use std::net::Ipv4Addr;
use std::sync::Arc;

use shoal_model::Classify as _;
use shoal_network::{EndpointRequest, EndpointState, SandboxState};

use super::container::Container;
use super::launch::endpoint_request;
use super::record::Record;
use super::{Containers, etc};
use crate::domain::{EndpointOptions, NetworkMode};
use crate::error::ContainerError;
use crate::node::blocking;

impl Containers {
    /// Joins a container to one more network, whether it runs or not.
    ///
    /// # Errors
    /// It is in there already, or the network says no.
    pub async fn connect(
        &self,
        name: &str,
        network: &str,
        options: EndpointOptions,
    ) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let network = self.node.networks.inspect(network)?.network;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            let mut record = (*container.record()).clone();
            check_shared(&record.host.network_mode, &network.name)?;
            let key = key_of(&record.networks, &network.name, network.id.as_str());
            if record.networks.contains_key(&key) {
                return Err(ContainerError::Network {
                    message: format!(
                        "endpoint with name {} already exists in network {}",
                        record.name, network.name
                    ),
                    kind: shoal_model::Kind::Forbidden,
                });
            }
            let request = endpoint_request(&network.name, &options)?;
            if record.networks.is_empty() && record.host.network_mode == NetworkMode::None {
                // Compose takes a new container out of its only network and puts it back with
                // other names: its ports belong there again.
                record.host.network_mode = NetworkMode::Network(key.clone());
            }
            record.networks.insert(key, options);
            containers.check_networks(&record)?;
            let running = container.state.borrow().phase.has_process();
            let joined = match running {
                true => Some(containers.join(&container, request).await?),
                false => None,
            };
            if let Err(error) = containers.save_record(&container, record).await {
                if let Some(endpoint) = &joined {
                    containers.undo_join(&container, endpoint).await;
                }
                return Err(error);
            }
            if let Some(endpoint) = joined {
                let joined = SandboxState { endpoints: vec![endpoint], ..SandboxState::default() };
                containers.publish_networks(&container.record(), Some(&joined), "connect");
            }
            Ok(())
        };
        self.node.tasks.finish(work).await
    }

    /// Takes a container out of a network.
    ///
    /// # Errors
    /// It is not in there.
    pub async fn disconnect(
        &self,
        name: &str,
        network: &str,
        force: bool,
    ) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let network = self.node.networks.inspect(network)?.network;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            let mut record = (*container.record()).clone();
            check_shared(&record.host.network_mode, &network.name)?;
            let key = key_of(&record.networks, &network.name, network.id.as_str());
            if record.networks.remove(&key).is_none() && !force {
                return Err(ContainerError::Network {
                    message: format!(
                        "container {} is not connected to network {}",
                        container.id, network.name
                    ),
                    kind: shoal_model::Kind::Forbidden,
                });
            }
            if record.host.network_mode.to_string() == key {
                // At its next start it must not come back.
                record.host.network_mode = match record.networks.keys().next() {
                    Some(other) => NetworkMode::Network(other.clone()),
                    None => NetworkMode::None,
                };
            }
            if container.state.borrow().phase.has_process() {
                let before = containers.node.networks.state(&container.id).unwrap_or_default();
                let left = containers.node.networks.disconnect(&container.id, &network.name).await;
                if !force {
                    left?;
                }
                let mut gone = before;
                gone.endpoints.retain(|endpoint| endpoint.network == network.id);
                containers.write_left(&container, &gone.endpoints).await;
                containers.publish_networks(&record, Some(&gone), "disconnect");
            }
            containers.save_record(&container, record).await?;
            containers.save_sandbox(&container).await;
            Ok(())
        };
        self.node.tasks.finish(work).await
    }

    /// Refuses what the next start would be refused for. A network that has gone is its start's
    /// affair.
    fn check_networks(&self, record: &Record) -> Result<(), ContainerError> {
        let networks = &self.node.networks;
        let there = record.networks.iter().filter(|(name, _)| networks.inspect(name).is_ok());
        let requests: Result<Vec<_>, _> =
            there.map(|(name, options)| endpoint_request(name, options)).collect();
        Ok(networks.check(&requests?)?)
    }

    /// Joins a running container to a network. Its place is stored before the kernel has it:
    /// after a crash in between, nobody else is given the address.
    async fn join(
        &self,
        container: &Arc<Container>,
        request: EndpointRequest,
    ) -> Result<EndpointState, ContainerError> {
        let networks = &self.node.networks;
        let names_served = networks.state(&container.id).is_some_and(|state| state.embedded_dns);
        let endpoint = networks.place(&container.id, request).await?;
        self.save_sandbox(container).await;
        if let Err(error) = networks.join(&container.id, endpoint.clone()).await {
            self.save_sandbox(container).await;
            return Err(error.into());
        }
        self.write_joined(container, names_served, endpoint.ipv4).await;
        Ok(endpoint)
    }

    /// Tells a container's files that it is in one more network. It is, whatever becomes of them.
    async fn write_joined(&self, container: &Container, names_served: bool, address: Ipv4Addr) {
        let (node, record) = (self.node.clone(), container.record());
        let written = blocking(move || {
            let Some(sandbox) = node.networks.state(&record.id) else { return Ok(()) };
            let names_are_served_now = sandbox.embedded_dns && !names_served;
            let joined = etc::Joined { address, names_are_served_now };
            etc::join(&node.paths.dir(&record.id), &record, &node.networks, &sandbox, joined)
        });
        if let Err(error) = written.await {
            tracing::error!(container = %container.id, %error, "cannot write a container's /etc files");
        }
    }

    /// Tells a container's files that it is in these networks no longer.
    async fn write_left(&self, container: &Container, left: &[EndpointState]) {
        let (node, record) = (self.node.clone(), container.record());
        let addresses: Vec<Ipv4Addr> = left.iter().map(|endpoint| endpoint.ipv4).collect();
        let written = blocking(move || {
            let dir = node.paths.dir(&record.id);
            addresses.iter().try_for_each(|address| etc::leave(&dir, &record, *address))
        });
        if let Err(error) = written.await {
            tracing::error!(container = %container.id, %error, "cannot write a container's /etc files");
        }
    }

    /// Takes a container out again of a network that its record could not be given.
    async fn undo_join(&self, container: &Arc<Container>, endpoint: &EndpointState) {
        let network = endpoint.network.as_str();
        if let Err(error) = self.node.networks.disconnect(&container.id, network).await {
            tracing::error!(container = %container.id, error = %error.chain(), "a container stays in a network");
        }
        self.write_left(container, std::slice::from_ref(endpoint)).await;
        self.save_sandbox(container).await;
    }

    /// Stores where a running container is in the networks now.
    async fn save_sandbox(&self, container: &Arc<Container>) {
        if !container.state.borrow().phase.has_process() {
            return;
        }
        let sandbox = self.node.networks.state(&container.id).map(Box::new);
        container.state.send_modify(|state| state.sandbox = sandbox);
        self.save_state(container).await;
    }
}

/// The key under which a container knows a network: it may have been named by its id.
fn key_of(
    networks: &std::collections::BTreeMap<String, EndpointOptions>,
    name: &str,
    id: &str,
) -> String {
    let by_id = networks.keys().find(|key| key.len() >= 12 && id.starts_with(key.as_str()));
    match by_id {
        Some(key) if !networks.contains_key(name) => key.clone(),
        _ => name.into(),
    }
}

/// The node's own network cannot be mixed with others.
fn check_shared(mode: &NetworkMode, network: &str) -> Result<(), ContainerError> {
    let refuse = |message: &str| {
        Err(ContainerError::Network { message: message.into(), kind: shoal_model::Kind::Forbidden })
    };
    match mode {
        NetworkMode::Host => refuse(
            "container cannot be disconnected from host network or connected to host network",
        ),
        NetworkMode::Container(_) => refuse(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        ),
        _ if network == "host" => refuse(
            "container cannot be disconnected from host network or connected to host network",
        ),
        _ => Ok(()),
    }
}
