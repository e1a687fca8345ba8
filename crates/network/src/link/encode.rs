//! A change as a netlink message.

use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd},
};

use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec, LinkVeth,
    RouteMessageBuilder,
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute},
    },
};

use super::change::{Change, PortSettings};

/// What a change may need to know about the namespaces.
pub(crate) trait Lookup {
    /// Index of the link called `name`.
    fn index(&self, name: &str) -> io::Result<u32>;
}

const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// The message for `change` and its flags. `container` is the namespace of the
/// other end of a pair.
pub(crate) fn message(
    change: &Change,
    links: &impl Lookup,
    container: Option<BorrowedFd<'_>>,
) -> io::Result<(RouteNetlinkMessage, u16)> {
    use RouteNetlinkMessage::{DelLink, NewAddress, NewLink, NewRoute};
    Ok(match change {
        Change::AddBridge { name, mac, mtu_bytes } => {
            let link = LinkBridge::new(name).address(mac.0.to_vec()).mtu(*mtu_bytes);
            (NewLink(link.build()), NEW)
        }
        Change::AddPair { host, container: name, mac, mtu_bytes } => {
            let inside = container.ok_or(io::ErrorKind::InvalidInput)?;
            let peer = LinkUnspec::new_with_name(name)
                .setns_by_fd(inside.as_raw_fd())
                .address(mac.0.to_vec())
                .mtu(*mtu_bytes);
            let pair = LinkMessageBuilder::<LinkVeth>::new(host, name)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
                .mtu(*mtu_bytes);
            (NewLink(pair.build()), NEW)
        }
        Change::Enslave { link, bridge } => {
            // A port of a bridge needs no address of its own, and each would
            // cost duplicate detection and group reports.
            let no_addresses = LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![
                AfSpecInet6::AddrGenMode(In6AddrGenMode::None),
            ])]);
            let port = LinkUnspec::new_with_name(link).controller(links.index(bridge)?);
            (NewLink(port.append_extra_attribute(no_addresses).up().build()), 0)
        }
        Change::SetPort { link, settings: PortSettings { isolated, hairpin } } => {
            let port = LinkBridgePort::new(0).name(link).isolated(*isolated).hairpin(*hairpin);
            (NewLink(port.build()), 0)
        }
        Change::AddAddress { link, address, prefix } => {
            let message = AddressMessageBuilder::<Ipv4Addr>::new().index(links.index(link)?);
            (NewAddress(message.address(*address, *prefix).build()), NEW)
        }
        Change::Up { link } => (NewLink(LinkUnspec::new_with_name(link).up().build()), 0),
        Change::AddDefaultRoute { link, gateway } => {
            let route = RouteMessageBuilder::<Ipv4Addr>::new()
                .output_interface(links.index(link)?)
                .gateway(*gateway);
            (NewRoute(route.build()), NEW)
        }
        Change::Delete { link } => (DelLink(LinkUnspec::new_with_name(link).build()), 0),
    })
}
