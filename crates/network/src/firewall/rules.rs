//! The table `ip shoal` as text for `nft`. Pure.
//!
//! Promises, in the order in which a forwarded packet meets them:
//! - containers of one bridge talk to each other, unless `icc` is off;
//! - nothing enters or leaves an internal network;
//! - what was let through once may be answered;
//! - a published port is open to whoever can reach the node;
//! - nothing else enters a bridge: not from the world, not from another
//!   bridge;
//! - containers reach the world, under the node's address.
//!
//! Published ports are elements of two maps, so that one more costs one
//! element: no rule grows with them.

use std::{collections::BTreeSet, fmt::Write as _, net::Ipv4Addr};

use crate::{bridge::Bridge, request::Protocol, subnet::Subnet};

/// What the rules need to know of a bridge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BridgeRules {
    pub(crate) link: String,
    pub(crate) subnet: Subnet,
    pub(crate) internal: bool,
    pub(crate) icc: bool,
    pub(crate) masquerade: bool,
}

impl From<&Bridge> for BridgeRules {
    fn from(bridge: &Bridge) -> Self {
        Self {
            link: bridge.link.clone(),
            subnet: bridge.subnet,
            internal: bridge.internal,
            icc: bridge.icc,
            masquerade: bridge.masquerade,
        }
    }
}

/// A published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PortRule {
    pub(crate) protocol: Protocol,
    /// Unspecified: any address of the node.
    pub(crate) host_ip: Ipv4Addr,
    pub(crate) host_port: u16,
    pub(crate) to: Ipv4Addr,
    pub(crate) to_port: u16,
}

/// Everything the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) bridges: Vec<BridgeRules>,
    pub(crate) ports: BTreeSet<PortRule>,
    /// Whether packets that concern no bridge of ours may pass: only if the
    /// node forwarded packets before we asked it to.
    pub(crate) router: bool,
}

impl Rules {
    /// The whole table, replacing what is there in one transaction.
    pub(crate) fn table(&self) -> String {
        // The first line makes the second one fit for a table that is not
        // there yet.
        let mut text = String::from("table ip shoal\ndelete table ip shoal\ntable ip shoal {\n");
        text.push_str(&self.sets());
        text.push_str(GUARD);
        text.push_str(PUBLISH);
        text.push_str(&self.postrouting());
        text.push_str(FORWARD);
        if !self.router {
            text.push_str(NO_ROUTER);
        }
        text.push_str("\t}\n}\n");
        text
    }

    fn sets(&self) -> String {
        let quoted = |internal_only: bool| {
            let wanted = self.bridges.iter().filter(move |b| b.internal || !internal_only);
            wanted.map(|b| format!("{:?}", b.link)).collect::<Vec<_>>()
        };
        // Those without icc are like any two bridges.
        let with_icc = self.bridges.iter().filter(|b| b.icc);
        let same: Vec<_> = with_icc.map(|b| format!("{0:?} . {0:?}", b.link)).collect();
        let ports = |any: bool| {
            let wanted = self.ports.iter().filter(move |p| p.host_ip.is_unspecified() == any);
            wanted.map(PortRule::element).collect::<Vec<_>>()
        };
        let mut text = String::new();
        for (kind, name, of, elements) in [
            ("set", "bridges", "ifname", quoted(false)),
            ("set", "internal", "ifname", quoted(true)),
            ("set", "same_bridge", "ifname . ifname", same),
            ("map", "ports", "inet_proto . inet_service : ipv4_addr . inet_service", ports(true)),
            (
                "map",
                "ports_at",
                "ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
                ports(false),
            ),
        ] {
            let _ = writeln!(text, "\t{kind} {name} {{\n\t\ttype {of}");
            if !elements.is_empty() {
                let _ = writeln!(text, "\t\telements = {{ {} }}", elements.join(", "));
            }
            text.push_str("\t}\n");
        }
        text
    }

    fn postrouting(&self) -> String {
        let mut text = String::from(
            "\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n",
        );
        for BridgeRules { link, subnet, masquerade, .. } in &self.bridges {
            if *masquerade {
                let _ = writeln!(text, "\t\tip saddr {subnet} oifname != {link:?} masquerade");
            }
            // A neighbour reached through the node's published port would
            // answer directly, from an address the asker does not know.
            let _ =
                writeln!(text, "\t\tip saddr {subnet} oifname {link:?} ct status dnat masquerade");
        }
        // A container cannot answer to 127.0.0.1.
        text.push_str("\t\tip saddr 127.0.0.0/8 oifname @bridges masquerade\n\t}\n");
        text
    }
}

impl PortRule {
    fn map(&self) -> &'static str {
        if self.host_ip.is_unspecified() { "ports" } else { "ports_at" }
    }

    fn key(&self) -> String {
        let key = format!("{} . {}", self.protocol.as_str(), self.host_port);
        if self.host_ip.is_unspecified() { key } else { format!("{} . {key}", self.host_ip) }
    }

    fn element(&self) -> String {
        format!("{} : {} . {}", self.key(), self.to, self.to_port)
    }
}

/// Lines that open `added` and close `removed` ports.
pub(crate) fn port_changes(added: &[PortRule], removed: &[PortRule]) -> String {
    let mut text = String::new();
    for port in removed {
        let _ = writeln!(text, "delete element ip shoal {} {{ {} }}", port.map(), port.key());
    }
    for port in added {
        let _ = writeln!(text, "add element ip shoal {} {{ {} }}", port.map(), port.element());
    }
    text
}

/// `route_localnet` on bridges lets a container's answers come back to
/// 127.0.0.1; nobody else may use it to reach what listens only there. Before
/// connection tracking, so that it sees what was on the wire.
const GUARD: &str = "\tchain guard {
\t\ttype filter hook prerouting priority raw; policy accept;
\t\tiifname != \"lo\" ip daddr 127.0.0.0/8 drop
\t}
";

const PUBLISH: &str = "\tchain publish {
\t\tdnat ip to ip daddr . meta l4proto . th dport map @ports_at
\t\tdnat ip to meta l4proto . th dport map @ports
\t}
\tchain prerouting {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tfib daddr type local jump publish
\t}
\tchain output {
\t\ttype nat hook output priority -100; policy accept;
\t\tfib daddr type local jump publish
\t}
";

/// On nodes with br_netfilter frames between ports of one bridge come through
/// here, too; on others the ports keep those apart who are to be.
const FORWARD: &str = "\tchain forward {
\t\ttype filter hook forward priority filter; policy accept;
\t\tiifname . oifname @same_bridge accept
\t\tiifname @internal drop
\t\toifname @internal drop
\t\tct state established,related accept
\t\toifname @bridges ct status dnat accept
\t\toifname @bridges drop
\t\tiifname @bridges accept
";

/// A node that forwards packets only since we asked it to shall not carry those
/// of its neighbours from one wire to the other. What other engines, virtual
/// machines and tunnels on it do is their affair.
const NO_ROUTER: &str =
    "\t\tmeta iifkind { \"bridge\", \"tun\", \"wireguard\", \"vxlan\", \"geneve\" } accept
\t\tmeta oifkind { \"bridge\", \"tun\", \"wireguard\", \"vxlan\", \"geneve\" } accept
\t\tct status dnat accept
\t\tdrop
";

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Rules {
        let bridge = |link: &str, subnet: &str, internal: bool| BridgeRules {
            link: link.into(),
            subnet: subnet.parse().unwrap(),
            internal,
            icc: true,
            masquerade: !internal,
        };
        let port = |protocol, host_ip: [u8; 4], host_port| PortRule {
            protocol,
            host_ip: host_ip.into(),
            host_port,
            to: [172, 17, 0, 2].into(),
            to_port: 5000,
        };
        Rules {
            bridges: vec![
                bridge("shoal0", "172.17.0.0/16", false),
                bridge("br-0123456789ab", "172.18.0.0/16", true),
            ],
            ports: [
                port(Protocol::Tcp, [0, 0, 0, 0], 8003),
                port(Protocol::Udp, [127, 0, 0, 1], 53),
            ]
            .into(),
            router: true,
        }
    }

    #[test]
    fn the_whole_table() {
        insta::assert_snapshot!(example().table().replace('\t', "  "), @r#"
        table ip shoal
        delete table ip shoal
        table ip shoal {
          set bridges {
            type ifname
            elements = { "shoal0", "br-0123456789ab" }
          }
          set internal {
            type ifname
            elements = { "br-0123456789ab" }
          }
          set same_bridge {
            type ifname . ifname
            elements = { "shoal0" . "shoal0", "br-0123456789ab" . "br-0123456789ab" }
          }
          map ports {
            type inet_proto . inet_service : ipv4_addr . inet_service
            elements = { tcp . 8003 : 172.17.0.2 . 5000 }
          }
          map ports_at {
            type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
            elements = { 127.0.0.1 . udp . 53 : 172.17.0.2 . 5000 }
          }
          chain guard {
            type filter hook prerouting priority raw; policy accept;
            iifname != "lo" ip daddr 127.0.0.0/8 drop
          }
          chain publish {
            dnat ip to ip daddr . meta l4proto . th dport map @ports_at
            dnat ip to meta l4proto . th dport map @ports
          }
          chain prerouting {
            type nat hook prerouting priority dstnat; policy accept;
            fib daddr type local jump publish
          }
          chain output {
            type nat hook output priority -100; policy accept;
            fib daddr type local jump publish
          }
          chain postrouting {
            type nat hook postrouting priority srcnat; policy accept;
            ip saddr 172.17.0.0/16 oifname != "shoal0" masquerade
            ip saddr 172.17.0.0/16 oifname "shoal0" ct status dnat masquerade
            ip saddr 172.18.0.0/16 oifname "br-0123456789ab" ct status dnat masquerade
            ip saddr 127.0.0.0/8 oifname @bridges masquerade
          }
          chain forward {
            type filter hook forward priority filter; policy accept;
            iifname . oifname @same_bridge accept
            iifname @internal drop
            oifname @internal drop
            ct state established,related accept
            oifname @bridges ct status dnat accept
            oifname @bridges drop
            iifname @bridges accept
          }
        }
        "#);
    }

    #[test]
    fn a_node_that_was_no_router_does_not_become_one() {
        let rules = Rules { router: false, ..Rules::default() };
        assert!(rules.table().ends_with("ct status dnat accept\n\t\tdrop\n\t}\n}\n"));
        let router = Rules { router: true, ..Rules::default() };
        assert!(!router.table().contains("\t\tdrop\n"));
    }

    #[test]
    fn ports_come_and_go_as_elements() {
        let ports: Vec<_> = example().ports.into_iter().collect();
        insta::assert_snapshot!(port_changes(&ports[..1], &ports[1..]), @r#"
        delete element ip shoal ports_at { 127.0.0.1 . udp . 53 }
        add element ip shoal ports { tcp . 8003 : 172.17.0.2 . 5000 }
        "#);
    }
}
