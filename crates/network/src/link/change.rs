//! One change to links, addresses or routes, as data.

use std::{fmt, net::Ipv4Addr};

use crate::mac::MacAddr;

/// A change, printed as the `ip` command that would make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Make a bridge. It gets its address at once: otherwise it would change
    /// whenever a port comes or goes.
    AddBridge { name: String, mac: MacAddr, mtu_bytes: u32 },
    /// Make a pair whose other end is in a container.
    AddPair { host: String, container: String, mac: MacAddr, mtu_bytes: u32 },
    /// Make the node's end a port of a bridge and set it up.
    Enslave { link: String, bridge: String, isolated: bool },
    /// Give a link an address.
    AddAddress { link: String, address: Ipv4Addr, prefix: u8 },
    /// Set a link up.
    Up { link: String },
    /// Send everything without a better route to `gateway`.
    AddDefaultRoute { link: String, gateway: Ipv4Addr },
    /// Remove a link and, with it, the other end of a pair.
    Delete { link: String },
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
                 peer name {container} netns CONTAINER address {mac} mtu {mtu_bytes} up"
            ),
            Self::Enslave { link, bridge, isolated } => {
                write!(f, "link set {link} master {bridge} addrgenmode none up")?;
                if *isolated { f.write_str(" type bridge_slave isolated on") } else { Ok(()) }
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
