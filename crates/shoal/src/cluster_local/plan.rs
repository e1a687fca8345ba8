//! What a cluster will be made of: names and addresses, from its name, its
//! size and the subnets already in use. Pure.

use std::net::Ipv4Addr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Most nodes of a local cluster: each has a daemon of its own.
pub(super) const NODES_MAX: u8 = 50;
/// The host's address within a cluster's subnet; nodes come after it.
const HOST: u8 = 1;
const FIRST_NODE: u8 = 11;
/// Longest name, so that node names stay valid host names.
const NAME_MAX_BYTES: usize = 40;
/// Length of a cluster's network prefix.
pub(super) const PREFIX: u8 = 24;

/// A cluster, written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// What the user calls it.
    pub(super) name: String,
    /// Its number on this machine: the third part of its subnet.
    pub(super) index: u8,
    /// The nodes, the first being the manager.
    pub(super) nodes: Vec<NodePlan>,
    /// The host forwarded no packets before there were clusters: whoever
    /// removes the last one turns forwarding off again.
    #[serde(default)]
    pub(super) turned_on_forwarding: bool,
    /// Further arguments of every node's daemon.
    #[serde(default)]
    pub(super) daemon_args: Vec<String>,
}

/// One node of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodePlan {
    /// Its host name, `<cluster>-<number>`.
    pub(super) name: String,
    /// Its address on the cluster's bridge.
    pub(super) address: Ipv4Addr,
    /// The host's end of its cable.
    pub(super) link: String,
    /// The node's end, before it becomes `eth0`.
    pub(super) peer: String,
}

impl Plan {
    /// Plans cluster `name` of `nodes` nodes, its subnet clear of `taken`
    /// (numbers of other clusters and third parts of 10.89.x.0 in use).
    pub(super) fn new(name: &str, nodes: u8, taken: &[u8]) -> Result<Self> {
        check_name(name)?;
        if !(1..=NODES_MAX).contains(&nodes) {
            bail!("a local cluster has 1 to {NODES_MAX} nodes, not {nodes}");
        }
        let Some(index) = (0..=u8::MAX).find(|index| !taken.contains(index)) else {
            bail!("no subnet is free for cluster {name}: remove one with `shoal cluster rm`");
        };
        let nodes = (0..nodes)
            .map(|n| NodePlan {
                name: format!("{name}-{}", n + 1),
                address: Ipv4Addr::new(10, 89, index, FIRST_NODE + n),
                link: format!("shc{index}n{}", n + 1),
                peer: format!("shc{index}p{}", n + 1),
            })
            .collect();
        Ok(Self {
            name: name.into(),
            index,
            nodes,
            turned_on_forwarding: false,
            daemon_args: Vec::new(),
        })
    }

    /// The bridge all nodes are on.
    pub(super) fn bridge(&self) -> String {
        format!("shc{}", self.index)
    }

    /// The host's address on the bridge.
    pub(super) fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 89, self.index, HOST)
    }

    /// `10.89.0.0/24`.
    pub(super) fn subnet(&self) -> String {
        format!("10.89.{}.0/{PREFIX}", self.index)
    }

    /// The nft table with this cluster's address translation.
    pub(super) fn table(&self) -> String {
        format!("shoal_cluster_{}", self.index)
    }

    /// The cgroup of a node, below the root of every hierarchy.
    pub(super) fn cgroup(&self, node: &NodePlan) -> String {
        format!("{}/{}", self.cgroup_root(), node.name)
    }

    /// The cgroup of the whole cluster.
    pub(super) fn cgroup_root(&self) -> String {
        format!("shoal-cluster-{}", self.name)
    }

    /// The node called `name`, or numbered so.
    pub(super) fn node(&self, name: &str) -> Result<&NodePlan> {
        let numbered = format!("{}-{name}", self.name);
        match self.nodes.iter().find(|n| n.name == name || n.name == numbered) {
            Some(node) => Ok(node),
            None => {
                let names: Vec<_> = self.nodes.iter().map(|n| n.name.as_str()).collect();
                bail!("cluster {} has no node {name}; it has {}", self.name, names.join(", "))
            }
        }
    }
}

/// A cluster's name becomes host names: letters, digits, inner dashes.
fn check_name(name: &str) -> Result<()> {
    let valid = (1..=NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !valid {
        bail!(
            "invalid cluster name {name:?}: 1 to {NAME_MAX_BYTES} lower-case letters, digits and inner dashes"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes() {
        let plan = Plan::new("demo", 3, &[0, 2]).unwrap();
        assert_eq!((plan.subnet().as_str(), plan.bridge().as_str()), ("10.89.1.0/24", "shc1"));
        let nodes: Vec<_> =
            plan.nodes.iter().map(|n| format!("{} {} {}", n.name, n.address, n.link)).collect();
        assert_eq!(
            nodes,
            ["demo-1 10.89.1.11 shc1n1", "demo-2 10.89.1.12 shc1n2", "demo-3 10.89.1.13 shc1n3"]
        );
        assert_eq!(plan.node("2").unwrap().name, "demo-2");
        assert_eq!(
            plan.node("x").unwrap_err().to_string(),
            "cluster demo has no node x; it has demo-1, demo-2, demo-3"
        );
    }

    #[test]
    fn link_names_fit_the_kernel() {
        let taken: Vec<u8> = (0..=254).collect();
        let plan = Plan::new(&"x".repeat(40), NODES_MAX, &taken).unwrap();
        for node in &plan.nodes {
            assert!(node.link.len() < 16 && node.peer.len() < 16 && node.name.len() < 64);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for name in ["", "-a", "a-", "A", "a/b", "a.b", &"x".repeat(41)] {
            assert!(Plan::new(name, 1, &[]).is_err(), "{name:?}");
        }
        assert!(Plan::new("a", 0, &[]).is_err());
        assert!(Plan::new("a", NODES_MAX + 1, &[]).is_err());
        let all: Vec<u8> = (0..=255).collect();
        assert!(Plan::new("a", 1, &all).unwrap_err().to_string().contains("no subnet is free"));
    }
}
