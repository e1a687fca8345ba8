//! The one rule inside a container's own namespace: what it sends to the
//! embedded resolver's port 53 goes to the ports the resolver really has.
//!
//! The resolver cannot take port 53 itself: a container that runs a name
//! server on all addresses would find it in use. And a process of `nft` for
//! each container would be too dear, so these few messages are written here
//! (`linux/netfilter/nf_tables.h`).

use std::{io, net::Ipv4Addr};

use super::netfilter::{ACK, Attributes, CREATE, Socket, push};

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
const APPEND: u16 = 0x800;

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
        expression(list, "payload", |e| load(e, NETWORK, 16, 4));
        expression(list, "cmp", |e| equal(e, &address.octets()));
        expression(list, "meta", |e| {
            e.number(1, REGISTER);
            e.number(2, 16);
        });
        expression(list, "cmp", |e| equal(e, &[protocol]));
        expression(list, "payload", |e| load(e, TRANSPORT, 2, 2));
        expression(list, "cmp", |e| equal(e, &DNS_PORT.to_be_bytes()));
        expression(list, "immediate", |e| {
            e.number(1, REGISTER);
            e.nested(2, |data| data.put(1, &port.to_be_bytes()));
        });
        expression(list, "nat", |e| {
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
    e.nested(3, |data| data.put(1, value));
}

/// One condition or action of a rule.
fn expression(list: &mut Attributes, name: &str, fill: impl FnOnce(&mut Attributes)) {
    list.nested(1, |element| {
        element.text(1, name);
        element.nested(2, fill);
    });
}

/// Messages that take effect together or not at all.
#[derive(Default)]
struct Batch {
    messages: Vec<u8>,
    count: u32,
}

impl Batch {
    fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Attributes)) {
        self.count += 1;
        let mut body = Attributes::of_ipv4();
        fill(&mut body);
        push(&mut self.messages, kind, ACK | flags, self.count, body.bytes());
    }

    fn commit(self) -> io::Result<()> {
        let frame = [&[0, 0], &NFTABLES.to_be_bytes()[..]].concat();
        let mut datagram = Vec::new();
        push(&mut datagram, BATCH_BEGIN, 0, 0, &frame);
        datagram.extend(&self.messages);
        push(&mut datagram, BATCH_END, 0, self.count + 1, &frame);
        let socket = Socket::open()?;
        socket.send(&datagram)?;
        socket.wait_for_answers(self.count)
    }
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
