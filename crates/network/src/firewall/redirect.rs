//! The one rule inside a container's own namespace: what it sends to the
//! embedded resolver's port 53 goes to the ports the resolver really has.
//!
//! The resolver cannot take port 53 itself: a container that runs a name
//! server on all addresses would find it in use. And a process of `nft` for
//! each container would be too dear, so these few messages are written here
//! (`linux/netfilter/nf_tables.h`).

use std::{io, io::IoSlice, net::Ipv4Addr};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink,
    netlink::SocketAddrNetlink,
};

/// Our table inside a container.
const TABLE: &str = "shoal_dns";
const CHAIN: &str = "output";
/// Where resolvers are asked.
const DNS_PORT: u16 = 53;

/// Sends UDP and TCP for port 53 of `address` to other ports of the same
/// address, in the calling thread's namespace. Unless that is `fresh`, what an
/// earlier call made is replaced; the kernel takes its time to delete.
///
/// # Errors
/// The kernel's; mostly that it has no nftables.
pub(crate) fn redirect_dns(
    address: Ipv4Addr,
    udp_port: u16,
    tcp_port: u16,
    fresh: bool,
) -> io::Result<()> {
    let mut batch = Batch::default();
    if !fresh {
        // The first makes the second one fit for a table that is not there.
        batch.message(TABLE_NEW, CREATE, |m| m.text(1, TABLE));
        batch.message(TABLE_DELETE, 0, |m| m.text(1, TABLE));
    }
    batch.message(TABLE_NEW, CREATE, |m| m.text(1, TABLE));
    batch.message(CHAIN_NEW, CREATE, chain);
    for (protocol, port) in [(17, udp_port), (6, tcp_port)] {
        batch.message(RULE_NEW, CREATE | APPEND, |m| rule(m, address, protocol, port));
    }
    batch.commit()
}

// Types of messages: the subsystem nftables in the high byte.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NFTABLES: u16 = 10;
const TABLE_NEW: u16 = NFTABLES << 8;
const TABLE_DELETE: u16 = NFTABLES << 8 | 2;
const CHAIN_NEW: u16 = NFTABLES << 8 | 3;
const RULE_NEW: u16 = NFTABLES << 8 | 6;
// Flags of messages.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
const ERROR: u16 = 2;

const HEADER_BYTES: usize = 16;
const ANSWER_BYTES: usize = 8 * 1024;

/// `type nat hook output priority -100`.
fn chain(m: &mut Attributes) {
    m.text(1, TABLE);
    m.text(3, CHAIN);
    m.nested(4, |hook| {
        hook.number(1, 3);
        hook.number(2, (-100i32).cast_unsigned());
    });
    m.text(7, "nat");
}

/// `ip daddr ADDRESS meta l4proto PROTOCOL th dport 53 dnat to :PORT`.
fn rule(m: &mut Attributes, address: Ipv4Addr, protocol: u8, port: u16) {
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    m.text(1, TABLE);
    m.text(2, CHAIN);
    m.nested(4, |list| {
        list.expression("payload", |e| load(e, NETWORK, 16, 4));
        list.expression("cmp", |e| equal(e, &address.octets()));
        list.expression("meta", |e| {
            e.number(1, REGISTER);
            e.number(2, 16);
        });
        list.expression("cmp", |e| equal(e, &[protocol]));
        list.expression("payload", |e| load(e, TRANSPORT, 2, 2));
        list.expression("cmp", |e| equal(e, &DNS_PORT.to_be_bytes()));
        list.expression("immediate", |e| {
            e.number(1, REGISTER);
            e.nested(2, |data| data.bytes(1, &port.to_be_bytes()));
        });
        list.expression("nat", |e| {
            e.number(1, 1);
            e.number(2, 2);
            e.number(5, REGISTER);
        });
    });
}

/// The register all expressions here work on.
const REGISTER: u32 = 1;

fn load(e: &mut Attributes, base: u32, offset: u32, length: u32) {
    for (kind, value) in [(1, REGISTER), (2, base), (3, offset), (4, length)] {
        e.number(kind, value);
    }
}

fn equal(e: &mut Attributes, value: &[u8]) {
    e.number(1, REGISTER);
    e.number(2, 0);
    e.nested(3, |data| data.bytes(1, value));
}

/// Attributes of a message, as they go over the socket.
struct Attributes(Vec<u8>);

impl Attributes {
    fn bytes(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, value: &str) {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat());
    }

    /// nftables has its numbers in network order.
    fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self(Vec::new());
        fill(&mut inner);
        self.bytes(kind | NESTED, &inner.0);
    }

    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.nested(1, |element| {
            element.text(1, name);
            element.nested(2, fill);
        });
    }
}

/// Messages that take effect together or not at all.
#[derive(Default)]
struct Batch {
    messages: Vec<u8>,
    count: u32,
}

impl Batch {
    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Attributes)) {
        const IPV4: [u8; 4] = [2, 0, 0, 0];
        self.count += 1;
        let mut body = Attributes(IPV4.to_vec());
        fill(&mut body);
        push(&mut self.messages, kind, REQUEST | ACK | flags, self.count, &body.0);
    }

    fn commit(self) -> io::Result<()> {
        let frame = [&[0, 0], &NFTABLES.to_be_bytes()[..]].concat();
        let mut datagram = Vec::new();
        push(&mut datagram, BATCH_BEGIN, REQUEST, 0, &frame);
        datagram.extend(&self.messages);
        push(&mut datagram, BATCH_END, REQUEST, self.count + 1, &frame);

        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::bind(&socket, &kernel)?;
        rustix::net::sendmsg_addr(
            &socket,
            &kernel,
            &[IoSlice::new(&datagram)],
            &mut rustix::net::SendAncillaryBuffer::default(),
            SendFlags::empty(),
        )?;
        let mut answered = 0;
        let mut buffer = vec![0; ANSWER_BYTES];
        while answered < self.count {
            let (_, length) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::TRUNC)?;
            answered += answers(buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?)?;
        }
        Ok(())
    }
}

fn push(to: &mut Vec<u8>, kind: u16, flags: u16, number: u32, body: &[u8]) {
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(flags.to_ne_bytes());
    to.extend(number.to_ne_bytes());
    to.extend([0; 4]);
    to.extend(body);
}

/// Counts the good answers in a datagram; the first bad one is the error.
fn answers(mut rest: &[u8]) -> io::Result<u32> {
    let number = |at: usize, from: &[u8]| {
        let bytes = from.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or(io::ErrorKind::InvalidData)
    };
    let mut good = 0;
    while !rest.is_empty() {
        let length = number(0, rest)? as usize;
        if number(4, rest)? & 0xffff == u32::from(ERROR) {
            match number(HEADER_BYTES, rest)?.cast_signed() {
                0 => good += 1,
                code => return Err(io::Error::from_raw_os_error(code.saturating_neg())),
            }
        }
        let step = length.max(HEADER_BYTES).next_multiple_of(4);
        rest = rest.get(step..).unwrap_or_default();
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, process::Command};

    use shoal_sys::netns;

    use super::*;
    use crate::link::{change::Change, socket::LinkSocket};

    #[test]
    fn port_53_leads_elsewhere_and_answers_come_back_from_it() {
        netns::create_with(|_| {
            LinkSocket::open().unwrap().ensure(&[Change::Up { link: "lo".into() }]).unwrap();
            let server = UdpSocket::bind("127.0.0.11:0").unwrap();
            // Twice: as after a restart of the daemon.
            redirect_dns([127, 0, 0, 11].into(), 1, 1, true).unwrap();
            let port = server.local_addr().unwrap().port();
            redirect_dns([127, 0, 0, 11].into(), port, 7777, false).unwrap();

            // The port itself stays free for the container.
            let _own = UdpSocket::bind("0.0.0.0:53").unwrap();
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            client.connect("127.0.0.11:53").unwrap();
            client.send(b"who").unwrap();
            let mut buffer = [0; 8];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"who");
            server.send_to(b"me", from).unwrap();
            // A connected socket only hears port 53.
            assert_eq!(client.recv(&mut buffer).unwrap(), 2);

            let rules = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
            let rules = String::from_utf8(rules.stdout).unwrap();
            assert!(rules.contains("ip daddr 127.0.0.11 tcp dport 53 dnat to :7777"), "{rules}");
            assert_eq!(rules.matches("dport 53").count(), 2, "{rules}");
        })
        .unwrap();
    }
}
