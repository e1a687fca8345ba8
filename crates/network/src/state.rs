//! What there is: sandboxes, endpoints and bound ports, as the engine stores
//! and shows them.

use std::{net::Ipv4Addr, os::fd::OwnedFd, sync::Arc};

use serde::{Deserialize, Serialize};
use shoal_model::{ContainerId, NetworkId};

use crate::{mac::MacAddr, request::Protocol, spec::Network};

/// The answer to a [`crate::SandboxRequest`].
#[derive(Debug)]
pub struct Sandbox {
    /// Where the container's first process is to run.
    pub netns: Netns,
    /// What was given; keep it and hand it to [`crate::Networks::adopt`] after
    /// a restart of the daemon.
    pub state: SandboxState,
}

/// A network namespace.
#[derive(Debug)]
pub enum Netns {
    /// The node's own: make none.
    Host,
    /// Ready, loopback up. It lives as long as this descriptor, a process in
    /// it, or the sandbox.
    Fd(OwnedFd),
}

/// Everything needed to show and to restore a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxState {
    /// The container's name.
    pub name: String,
    /// The host name it gives itself.
    #[serde(default)]
    pub hostname: String,
    /// Shares the node's own network.
    pub host: bool,
    /// One per network joined, in the order asked for (`host` and `none`
    /// included, with an unspecified address).
    pub endpoints: Vec<EndpointState>,
    /// Published ports.
    pub ports: Vec<BoundPort>,
    /// Whether names are answered inside at 127.0.0.11.
    pub embedded_dns: bool,
    /// `--dns` and the like, for restoring the resolver.
    #[serde(default)]
    pub dns: crate::DnsOptions,
}

/// A container's place in one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// 64 hexadecimal characters.
    pub endpoint_id: String,
    /// The network.
    pub network: NetworkId,
    /// Its name.
    pub network_name: String,
    /// Link name inside (`eth0`); empty in `host` and `none`.
    pub link: String,
    /// Link name of the other end on the node; empty in `host` and `none`.
    pub host_link: String,
    /// Address; `0.0.0.0` in `host` and `none`.
    pub ipv4: Ipv4Addr,
    /// Prefix length; 0 in `host` and `none`.
    pub prefix: u8,
    /// Next hop; `None` in internal networks, `host` and `none`.
    pub gateway: Option<Ipv4Addr>,
    /// Link-layer address; `None` in `host` and `none`.
    pub mac: Option<MacAddr>,
    /// Names asked for.
    pub aliases: Vec<String>,
    /// Names the embedded resolver answers for this endpoint
    /// (Docker's `DNSNames`); empty where it does not serve.
    pub dns_names: Vec<String>,
}

/// A published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Where the container listens.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// Address of the host; `0.0.0.0` is all.
    pub host_ip: Ipv4Addr,
    /// Port of the host.
    pub host_port: u16,
}

/// A network with who is in it: `docker network inspect`.
#[derive(Clone, Debug)]
pub struct NetworkView {
    /// The network.
    pub network: Arc<Network>,
    /// Running containers in it, by id.
    pub endpoints: Vec<EndpointView>,
}

/// A container in a [`NetworkView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// The container.
    pub container: ContainerId,
    /// Its name.
    pub name: String,
    /// Its place.
    pub endpoint: EndpointState,
}
