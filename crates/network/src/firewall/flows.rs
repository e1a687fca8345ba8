//! Flows of datagrams that go on where they went before.
//!
//! The kernel looks at rules only for the first packet of a flow. A client that
//! keeps sending to a published UDP port would go on to a container that is
//! gone, or never reach one that came while it was sending already. So what the
//! kernel remembers of such flows is forgotten when the port changes hands.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
};

use super::{
    netfilter::{ACK, Attributes, DUMP, Socket, attribute, push},
    rules::PortRule,
};
use crate::request::Protocol;

// Types of messages: the subsystem in the high byte
// (`linux/netfilter/nfnetlink_conntrack.h`).
const CONNTRACK: u16 = 1;
const FLOW_GET: u16 = CONNTRACK << 8 | 1;
const FLOW_DELETE: u16 = CONNTRACK << 8 | 2;
// Kinds of attributes.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;

const UDP: u8 = 17;

/// Who sends to whom, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Direction {
    from: Ipv4Addr,
    to: Ipv4Addr,
    to_port: u16,
}

/// Whether a change of these ports needs [`forget`].
pub(crate) fn concerns<'a>(ports: impl IntoIterator<Item = &'a PortRule>) -> bool {
    ports.into_iter().any(|port| port.protocol == Protocol::Udp)
}

/// Forgets the flows of the calling thread's namespace that go, or should have
/// gone, through `ports`. Blocks while the kernel lists its flows.
///
/// # Errors
/// The kernel's.
pub(crate) fn forget(ports: &[PortRule]) -> io::Result<()> {
    let socket = Socket::open()?;
    let mut request = Vec::new();
    push(&mut request, FLOW_GET, DUMP, 0, Attributes::of_ipv4().bytes());
    socket.send(&request)?;
    let mut stale = Vec::new();
    socket.read_dump(|flow| {
        if let Some(original) = attribute(flow, ORIGINAL)
            && let (Some(there), Some(back)) =
                (direction(original), attribute(flow, REPLY).and_then(direction))
            && ports.iter().any(|port| concerned(port, there, back))
        {
            stale.push(original.to_vec());
        }
    })?;
    for original in stale {
        let mut body = Attributes::of_ipv4();
        body.put_nested(ORIGINAL, &original);
        let mut request = Vec::new();
        push(&mut request, FLOW_DELETE, ACK, 0, body.bytes());
        socket.send(&request)?;
        match socket.wait_for_answers(1) {
            // It ended by itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Whether a flow was sent on to the port's container, or to nobody although it
/// came to the port.
fn concerned(port: &PortRule, there: Direction, back: Direction) -> bool {
    let here = port.host_ip.is_unspecified() || port.host_ip == there.to;
    if port.protocol != Protocol::Udp || port.host_port != there.to_port || !here {
        return false;
    }
    let untouched = back.from == there.to && back.to == there.from;
    back.from == port.to || (untouched && is_own_address(there.to))
}

/// Only what the node has can be bound.
fn is_own_address(address: Ipv4Addr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Reads one direction of a flow; `None` if it is not of UDP over IPv4.
fn direction(tuple: &[u8]) -> Option<Direction> {
    let addresses = attribute(tuple, 1)?;
    let protocol = attribute(tuple, 2)?;
    let address = |kind| Some(<[u8; 4]>::try_from(attribute(addresses, kind)?).ok()?.into());
    if attribute(protocol, 1)? != [UDP] {
        return None;
    }
    let to_port = u16::from_be_bytes(attribute(protocol, 3)?.try_into().ok()?);
    Some(Direction { from: address(1)?, to: address(2)?, to_port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flows_of_the_port() {
        let port = PortRule {
            protocol: Protocol::Udp,
            host_ip: Ipv4Addr::UNSPECIFIED,
            host_port: 53,
            to: [172, 17, 0, 2].into(),
            to_port: 5353,
        };
        let ip = |text: &str| -> Ipv4Addr { text.parse().unwrap() };
        let flow = |from, to, to_port| Direction { from: ip(from), to: ip(to), to_port };
        let there = flow("10.0.0.9", "10.0.0.1", 53);
        assert!(concerned(&port, there, flow("172.17.0.2", "10.0.0.9", 4000)));
        assert!(!concerned(&port, there, flow("172.17.0.3", "10.0.0.9", 4000)));
        let other_port = Direction { to_port: 54, ..there };
        assert!(!concerned(&port, other_port, flow("172.17.0.2", "10.0.0.9", 4000)));
        // To this very machine, and to a server elsewhere.
        let own = flow("127.0.0.1", "127.0.0.1", 53);
        assert!(concerned(&port, own, flow("127.0.0.1", "127.0.0.1", 4000)));
        let elsewhere = flow("10.0.0.9", "192.0.2.1", 53);
        assert!(!concerned(&port, elsewhere, flow("192.0.2.1", "10.0.0.9", 4000)));
    }
}
