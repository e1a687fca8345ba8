//! Networks of one node: address plans, bridges, sandboxes (network
//! namespaces), published ports, names.
//!
//! What decides is pure (address management, link and firewall plans, DNS
//! answers); what acts is thin ([`Networks`] and the files below `networks/`).
//! Everything lives in the network namespace the daemon runs in, so several
//! daemons on one machine, one namespace each, do not meet.
//!
//! Must not know: containers beyond their id and name, images, the cluster.

mod bridge;
mod config;
mod dns;
mod error;
mod firewall;
mod ipam;
mod link;
mod mac;
mod networks;
mod ports;
mod request;
mod routes;
mod spec;
mod state;
mod store;
mod subnet;
mod sysctl;

pub use config::{AddressPool, NetworkConfig};
pub use dns::{
    files::{
        DnsOptions, ExtraHost, HostAddress, HostResolver, ResolverMode, hosts, own_line,
        resolv_conf,
    },
    names::{Names, Owner},
};
pub use error::{NetworkError, PortError};
pub use mac::{MacAddr, MacError};
pub use networks::Networks;
pub use request::{EndpointRequest, HostPort, PortRequest, Protocol, SandboxRequest};
pub use spec::{CreateNetwork, Driver, IpamRequest, Network, NetworkIpam, PoolRequest, PoolSpec};
pub use state::{
    BoundPort, EndpointState, EndpointView, Netns, NetworkView, Sandbox, SandboxState,
};
pub use subnet::{Subnet, SubnetError};

/// Result of everything here that can fail.
pub type Result<T, E = NetworkError> = std::result::Result<T, E>;
