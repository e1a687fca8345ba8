//! One change to links, addresses or routes, as data.

use std::{fmt, net::Ipv4Addr};

use crate::mac::MacAddr;

/// A change, printed as the `ip` command that would make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Make a bridge. It gets its address at once: otherwise it would change
    /// whenever a port comes or goes.
    AddBridge { name: String, mac: MacAddr, mtu_bytes: u32 },
    /// Make a pair whose other end is in a container. Neither end can be up
    /// before both are there.
    AddPair { host: String, container: String, mac: MacAddr, mtu_bytes: u32 },
    /// Make the node's end a port of a bridge and set it up.
    Enslave { link: String, bridge: String },
    /// Set how a port of a bridge treats frames. Only what is a port already
    /// has these settings.
    SetPort { link: String, settings: PortSettings },
    /// Give a link an address.
    AddAddress { link: String, address: Ipv4Addr, prefix: u8 },
    /// Set a link up.
    Up { link: String },
    /// Send everything without a better route to `gateway`.
    AddDefaultRoute { link: String, gateway: Ipv4Addr },
    /// Remove a link and, with it, the other end of a pair.
    Delete { link: String },
}

/// Settings of a port of a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortSettings {
    /// Frames do not go to other isolated ports.
    pub(crate) isolated: bool,
    /// Frames may go back where they came from.
    pub(crate) hairpin: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddBridge { name, mac, mtu_bytes } => {
                write!(f, "link add {name} address {mac} mtu {mtu_bytes} type bridge")
            }
            Self::AddPair { host, container, mac, mtu_bytes } => write!(
                f,
                "link add {host} mtu {mtu_bytes} type veth \
                 peer name {container} netns CONTAINER address {mac} mtu {mtu_bytes}"
            ),
            Self::Enslave { link, bridge } => {
                write!(f, "link set {link} master {bridge} addrgenmode none up")
            }
            Self::SetPort { link, settings: PortSettings { isolated, hairpin } } => {
                let word = |on: &bool| if *on { "on" } else { "off" };
                let (isolated, hairpin) = (word(isolated), word(hairpin));
                write!(f, "link set {link} type bridge_slave isolated {isolated} hairpin {hairpin}")
            }
            Self::AddAddress { link, address, prefix } => {
                write!(f, "address add {address}/{prefix} brd + dev {link}")
            }
            Self::Up { link } => write!(f, "link set {link} up"),
            Self::AddDefaultRoute { link, gateway } => {
                write!(f, "route add default via {gateway} dev {link}")
            }
            Self::Delete { link } => write!(f, "link delete {link}"),
        }
    }
}
