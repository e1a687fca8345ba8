//! What to do so that a network or an endpoint exists. Pure: no names are
//! looked up and no kernel is asked.

use std::net::Ipv4Addr;

use super::{
    change::{Change, PortSettings},
    name,
};
use crate::{bridge::Bridge, mac::MacAddr, state::EndpointState};

/// What makes a bridge, in order; each is fine when it is done already.
pub(crate) fn bridge(bridge: &Bridge) -> Vec<Change> {
    let name = &bridge.link;
    vec![
        Change::AddBridge {
            name: name.clone(),
            mac: MacAddr::for_ipv4(bridge.gateway),
            mtu_bytes: bridge.mtu_bytes,
        },
        Change::AddAddress {
            link: name.clone(),
            address: bridge.gateway,
            prefix: bridge.subnet.prefix(),
        },
        Change::Up { link: name.clone() },
    ]
}

/// What joins a container to a bridge: first what is done on the node, then
/// what is done inside. `filtered` is whether frames between ports of a bridge
/// pass the node's firewall (br_netfilter).
pub(crate) fn endpoint(
    at: &EndpointPlan,
    bridge: &Bridge,
    filtered: bool,
) -> (Vec<Change>, Vec<Change>) {
    let mut outside = vec![
        Change::AddPair {
            host: at.host_link.clone(),
            container: at.link.clone(),
            mac: at.mac,
            mtu_bytes: bridge.mtu_bytes,
        },
        Change::Enslave { link: at.host_link.clone(), bridge: bridge.link.clone() },
    ];
    let settings = port_settings(bridge, filtered);
    if settings != PortSettings::default() {
        outside.push(Change::SetPort { link: at.host_link.clone(), settings });
    }
    let mut inside = vec![
        Change::AddAddress {
            link: at.link.clone(),
            address: at.ipv4,
            prefix: bridge.subnet.prefix(),
        },
        Change::Up { link: at.link.clone() },
    ];
    if let Some(gateway) = at.default_route {
        inside.push(Change::AddDefaultRoute { link: at.link.clone(), gateway });
    }
    (outside, inside)
}

/// Where frames are filtered, what a container sends to a published port turns
/// into a frame to another port, or back to the same one, before it is routed:
/// that must be possible, and it is the firewall that keeps containers without
/// icc apart. Everywhere else the ports do.
fn port_settings(bridge: &Bridge, filtered: bool) -> PortSettings {
    PortSettings { isolated: !bridge.icc && !filtered, hairpin: filtered }
}

/// An endpoint about to be made.
#[derive(Clone, Debug)]
pub(crate) struct EndpointPlan {
    pub(crate) link: String,
    pub(crate) host_link: String,
    pub(crate) mac: MacAddr,
    pub(crate) ipv4: Ipv4Addr,
    /// Next hop, if this endpoint carries the default route.
    pub(crate) default_route: Option<Ipv4Addr>,
}

impl EndpointPlan {
    /// The plan for an endpoint that was given its place. The first endpoint
    /// with a way out carries the default route.
    pub(crate) fn new(endpoint: &EndpointState, mac: MacAddr, carries_route: bool) -> Self {
        Self {
            link: endpoint.link.clone(),
            host_link: name::host_end(&endpoint.endpoint_id),
            mac,
            ipv4: endpoint.ipv4,
            default_route: endpoint.gateway.filter(|_| carries_route),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(changes: &[Change]) -> String {
        changes.iter().map(|c| format!("{c}\n")).collect()
    }

    fn example() -> Bridge {
        Bridge {
            link: "shoal0".into(),
            subnet: "172.17.0.0/16".parse().unwrap(),
            gateway: [172, 17, 0, 1].into(),
            internal: false,
            icc: true,
            masquerade: true,
            mtu_bytes: 1500,
            host_binding: Ipv4Addr::UNSPECIFIED,
        }
    }

    #[test]
    fn bridges() {
        insta::assert_snapshot!(text(&bridge(&example())), @r"
        link add shoal0 address 02:42:ac:11:00:01 mtu 1500 type bridge
        address add 172.17.0.1/16 brd + dev shoal0
        link set shoal0 up
        ");
    }

    #[test]
    fn endpoints() {
        let mut plan = EndpointPlan {
            link: "eth0".into(),
            host_link: "veth0123456789a".into(),
            mac: MacAddr::for_ipv4([172, 17, 0, 2].into()),
            ipv4: [172, 17, 0, 2].into(),
            default_route: Some([172, 17, 0, 1].into()),
        };
        let (outside, inside) = endpoint(&plan, &example(), false);
        insta::assert_snapshot!(text(&outside), @r"
        link add veth0123456789a mtu 1500 type veth peer name eth0 netns CONTAINER address 02:42:ac:11:00:02 mtu 1500
        link set veth0123456789a master shoal0 addrgenmode none up
        ");
        insta::assert_snapshot!(text(&inside), @r"
        address add 172.17.0.2/16 brd + dev eth0
        link set eth0 up
        route add default via 172.17.0.1 dev eth0
        ");

        plan.default_route = None;
        let apart = Bridge { icc: false, ..example() };
        let (outside, inside) = endpoint(&plan, &apart, false);
        assert!(outside[2].to_string().ends_with("type bridge_slave isolated on hairpin off"));
        assert_eq!(inside.len(), 2);
        let (outside, _) = endpoint(&plan, &apart, true);
        assert!(outside[2].to_string().ends_with("type bridge_slave isolated off hairpin on"));
    }
}
