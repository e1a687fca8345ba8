//! What the person who runs the node decides about its networks.

use std::path::PathBuf;

use crate::subnet::Subnet;

/// Addresses from which networks without a subnet of their own are served:
/// `base` cut into blocks of prefix length `size`
/// (Docker's `default-address-pools`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPool {
    /// The whole range.
    pub base: Subnet,
    /// Prefix length of one network in it.
    pub size: u8,
}

/// Settings of [`crate::Networks`]. [`Default`] is what Docker users expect.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Where subnets come from when the request names none, in order.
    pub pools: Vec<AddressPool>,
    /// First characters of the link name of a user-made bridge; twelve
    /// characters of the network's id follow, and the kernel takes 15 in all.
    pub bridge_prefix: String,
    /// Link name of the network `bridge`.
    pub default_bridge: String,
    /// Gateway and subnet of the network `bridge`, as `172.17.0.1/16`
    /// (Docker's `bip`); `None` takes the first free pool.
    pub default_subnet: Option<(std::net::Ipv4Addr, Subnet)>,
    /// Ready namespaces kept for the network `bridge`; 0 turns the pool off.
    pub pool_size: usize,
    /// Largest packet of bridges and their endpoints, bytes.
    pub mtu_bytes: u32,
    /// The `nft` program.
    pub nft: PathBuf,
    /// Where the host's own resolvers are listed.
    pub resolv_conf: PathBuf,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            pools: default_pools(),
            bridge_prefix: "br-".into(),
            default_bridge: "shoal0".into(),
            default_subnet: None,
            pool_size: 16,
            mtu_bytes: 1500,
            nft: "nft".into(),
            resolv_conf: "/etc/resolv.conf".into(),
        }
    }
}

/// Docker's local pools: 172.17.0.0/16 … 172.31.0.0/16, then 192.168.0.0/16
/// in blocks of /20.
fn default_pools() -> Vec<AddressPool> {
    let whole = |c: u8| AddressPool { base: Subnet::of([172, c, 0, 0].into(), 16), size: 16 };
    let mut pools: Vec<_> = (17..=31).map(whole).collect();
    pools.push(AddressPool { base: Subnet::of([192, 168, 0, 0].into(), 16), size: 20 });
    pools
}
