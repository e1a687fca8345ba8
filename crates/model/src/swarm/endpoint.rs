//! How a service is reached.

use serde::{Deserialize, Serialize};

use super::ServiceSpec;

/// How the user wants a service to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// One address for all tasks, or each task's.
    pub mode: EndpointMode,
    /// Published ports.
    pub ports: Vec<PortConfig>,
}

/// What the service's name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum EndpointMode {
    /// One virtual address.
    #[default]
    Vip,
    /// The addresses of all tasks.
    DnsRoundRobin,
}

impl EndpointMode {
    /// `vip` or `dnsrr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vip => "vip",
            Self::DnsRoundRobin => "dnsrr",
        }
    }
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct PortConfig {
    /// A name for it; may be empty.
    pub name: String,
    /// The protocol.
    pub protocol: PortProtocol,
    /// The port inside the container.
    pub target_port: u16,
    /// The port outside; 0: one is chosen.
    pub published_port: u16,
    /// Where it is published.
    pub publish_mode: PublishMode,
}

/// A transport protocol.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum PortProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl PortProtocol {
    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Where a port is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum PublishMode {
    /// On every node, forwarded to some task.
    #[default]
    Ingress,
    /// On the node the task runs on.
    Host,
}

impl PublishMode {
    /// `ingress` or `host`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Host => "host",
        }
    }
}

/// How a service is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    /// What was asked for.
    pub spec: EndpointSpec,
    /// The ports with their chosen numbers.
    pub ports: Vec<PortConfig>,
    /// One address per network.
    pub virtual_ips: Vec<VirtualIp>,
}

impl Endpoint {
    /// The endpoint a spec asks for, as it is asked for: host ports need nobody to choose them.
    pub fn of(spec: &ServiceSpec) -> Option<Self> {
        let spec = spec.endpoint.clone()?;
        Some(Self { ports: spec.ports.clone(), spec, virtual_ips: Vec::new() })
    }
}

/// A service's address in one network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VirtualIp {
    /// The network.
    pub network_id: String,
    /// Address and prefix length.
    pub addr: String,
}
