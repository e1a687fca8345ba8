//! What the engine asks for when a container starts.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::{dns::files::DnsOptions, mac::MacAddr};

/// A container's place in the networks.
#[derive(Clone, Debug, Default)]
pub struct SandboxRequest {
    /// The container's name, without a slash: for DNS, inspect and errors.
    pub name: String,
    /// The host name it gives itself: one more name in DNS.
    pub hostname: String,
    /// Networks to join, the first one carries the published ports and the
    /// default route. `host` and `none` stand alone. Empty is like `none`.
    pub endpoints: Vec<EndpointRequest>,
    /// Published ports.
    pub ports: Vec<PortRequest>,
    /// `--dns` and the like: where the embedded resolver forwards to.
    pub dns: DnsOptions,
}

/// One network to join.
#[derive(Clone, Debug, Default)]
pub struct EndpointRequest {
    /// Name, id or unique beginning of an id.
    pub network: String,
    /// `--ip`.
    pub ipv4: Option<Ipv4Addr>,
    /// `--mac-address`.
    pub mac: Option<MacAddr>,
    /// Further names in this network (user-made networks only).
    pub aliases: Vec<String>,
}

/// Transport of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As written behind the slash of `80/tcp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One port to publish; ranges of container ports are expanded by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRequest {
    /// Where the container listens.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// Address of the host; `None` is all of IPv4. An IPv6 address is refused.
    pub host_ip: Option<IpAddr>,
    /// Port of the host.
    pub host_port: HostPort,
}

/// Which port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPort {
    /// Any free one of the ephemeral range.
    Any,
    /// This one.
    Fixed(u16),
    /// The first free one from the first to the second, inclusive.
    Range(u16, u16),
}
