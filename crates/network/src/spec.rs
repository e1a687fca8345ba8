//! A network as asked for and as it is.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::{Deserialize, Serialize};
use shoal_model::{NetworkId, Timestamp};

use crate::subnet::Subnet;

/// `docker network create`: still in the words of the request, unchecked.
#[derive(Clone, Debug, Default)]
pub struct CreateNetwork {
    /// Name.
    pub name: String,
    /// Driver; empty means `bridge`.
    pub driver: String,
    /// Cut off from the world outside.
    pub internal: bool,
    /// Whether containers outside a service may join (swarm scope only).
    pub attachable: bool,
    /// The routing mesh's network; not built yet, so `true` is refused.
    pub ingress: bool,
    /// Not built yet, so `true` is refused.
    pub enable_ipv6: bool,
    /// Empty or `local`; anything else is refused.
    pub scope: String,
    /// Addresses.
    pub ipam: IpamRequest,
    /// Driver options (`com.docker.network.…`); unknown ones are refused.
    pub options: BTreeMap<String, String>,
    /// User's labels.
    pub labels: BTreeMap<String, String>,
}

/// The address part of [`CreateNetwork`].
#[derive(Clone, Debug, Default)]
pub struct IpamRequest {
    /// Empty or `default`.
    pub driver: String,
    /// Options of the address driver; none are known.
    pub options: BTreeMap<String, String>,
    /// Pools; empty takes one from the defaults.
    pub pools: Vec<PoolRequest>,
}

/// One pool of addresses as asked for; texts are in prefix notation, empty
/// means "not given".
#[derive(Clone, Debug, Default)]
pub struct PoolRequest {
    /// The network's addresses.
    pub subnet: String,
    /// Part of them given out automatically.
    pub ip_range: String,
    /// The bridge's own address.
    pub gateway: String,
    /// Addresses in use by others, by name.
    pub aux_addresses: BTreeMap<String, String>,
}

/// What carries a network's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A Linux bridge.
    Bridge,
    /// The node's own network, shared.
    Host,
    /// Only a loopback device.
    Null,
}

impl Driver {
    /// As Docker writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
        }
    }
}

/// A network that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Identity.
    pub id: NetworkId,
    /// Name, unique on the node.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Driver.
    pub driver: Driver,
    /// Cut off from the world outside.
    pub internal: bool,
    /// As asked for.
    pub attachable: bool,
    /// Addresses.
    pub ipam: NetworkIpam,
    /// Driver options as given (for `bridge`: also Docker's defaults).
    pub options: BTreeMap<String, String>,
    /// User's labels.
    pub labels: BTreeMap<String, String>,
}

impl Network {
    /// Whether it is one of `bridge`, `host` and `none`.
    pub fn is_predefined(&self) -> bool {
        is_predefined(&self.name)
    }

    /// Docker's scope; networks of a swarm come later.
    pub fn scope(&self) -> &'static str {
        "local"
    }
}

/// Names no user network can have.
pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none")
}

/// The addresses of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkIpam {
    /// Pools; at most one today, none for `host` and `none`.
    pub pools: Vec<PoolSpec>,
    /// Whether the user chose the subnet (only then may a container choose its
    /// address).
    pub user_subnet: bool,
}

/// One pool, checked: gateway and range lie in the subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// The network's addresses.
    pub subnet: Subnet,
    /// Part of them given out automatically; all when not given.
    pub ip_range: Option<Subnet>,
    /// The bridge's own address.
    pub gateway: Ipv4Addr,
    /// Addresses in use by others, by name.
    pub aux_addresses: BTreeMap<String, Ipv4Addr>,
}
