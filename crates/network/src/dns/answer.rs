//! From a query to an answer. Pure: the table of names goes in, bytes come
//! out; whoever asked is unknown here.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, PTR},
    },
};
use shoal_model::NetworkId;

use super::names::Names;

/// How long an asker may remember an address. Short: a container that starts
/// again may have another one.
const TTL_SECONDS: u32 = 10;
/// What fits into a datagram unless the asker says otherwise (RFC 1035).
const DATAGRAM_BYTES: usize = 512;
/// What fits into a message over TCP.
const STREAM_BYTES: usize = 65_535;
/// What we say fits into a datagram to us; the loopback device takes it.
const OWN_PAYLOAD_BYTES: u16 = 4096;

/// What a container can see: its networks, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Id and name of each network with names.
    pub(crate) networks: Vec<(NetworkId, String)>,
}

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// In a datagram.
    Udp,
    /// In a stream.
    Tcp,
}

/// What to do with a query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Send this back.
    Reply(Vec<u8>),
    /// Not ours: ask elsewhere.
    Forward,
    /// Not a query at all.
    Ignore,
}

/// Answers `query` from the names in `view`. `turn` counts queries, so that
/// several addresses take turns at being first.
pub(crate) fn answer(
    query: &[u8],
    view: &View,
    names: &Names,
    transport: Transport,
    turn: usize,
) -> Answer {
    let Ok(message) = Message::from_vec(query) else {
        return malformed(query);
    };
    if message.metadata.message_type != MessageType::Query {
        return Answer::Ignore;
    }
    if message.metadata.op_code != OpCode::Query {
        return reply(&message, ResponseCode::NotImp, Vec::new(), transport);
    }
    let [question] = message.queries.as_slice() else {
        return reply(&message, ResponseCode::FormErr, Vec::new(), transport);
    };
    match records(question, view, names, turn) {
        Some(records) => reply(&message, ResponseCode::NoError, records, transport),
        None => Answer::Forward,
    }
}

/// The answer when nobody can be asked.
pub(crate) fn failure(query: &[u8], transport: Transport) -> Answer {
    match Message::from_vec(query) {
        Ok(message) => reply(&message, ResponseCode::ServFail, Vec::new(), transport),
        Err(_) => malformed(query),
    }
}

/// Our records for a question; `None` when the name is not ours. A name that
/// is ours has no other records, and saying so keeps the asker from looking
/// elsewhere.
fn records(question: &Query, view: &View, names: &Names, turn: usize) -> Option<Vec<Record>> {
    if question.query_class() != DNSClass::IN {
        return None;
    }
    if question.query_type() == RecordType::PTR {
        return pointer(question, view, names);
    }
    let mut addresses = lookup(&question.name().to_ascii(), view, names)?;
    if question.query_type() != RecordType::A {
        return Some(Vec::new());
    }
    let start = turn % addresses.len().max(1);
    addresses.rotate_left(start);
    let record =
        |address| Record::from_rdata(question.name().clone(), TTL_SECONDS, RData::A(A(address)));
    Some(addresses.into_iter().map(record).collect())
}

/// `web`, `web.`, `web.mynet`: the name itself first, then without the name of
/// the network.
fn lookup(name: &str, view: &View, names: &Names) -> Option<Vec<Ipv4Addr>> {
    let name = name.trim_end_matches('.');
    view.networks.iter().find_map(|(network, label)| {
        let plain = || names.lookup(network, name);
        let qualified = || {
            let (rest, last) = name.split_at_checked(name.len().checked_sub(label.len())?)?;
            let rest = rest.strip_suffix('.').filter(|_| last.eq_ignore_ascii_case(label))?;
            names.lookup(network, rest)
        };
        plain().or_else(qualified)
    })
}

fn pointer(question: &Query, view: &View, names: &Names) -> Option<Vec<Record>> {
    let net = question.name().parse_arpa_name().ok()?;
    let IpAddr::V4(address) = net.addr() else { return None };
    if net.prefix_len() != 32 {
        return None;
    }
    let found = view.networks.iter().find_map(|(network, label)| {
        names.reverse(network, address).map(|name| format!("{name}.{label}."))
    })?;
    let target = Name::from_ascii(found).ok()?;
    let data = RData::PTR(PTR(target));
    Some(vec![Record::from_rdata(question.name().clone(), TTL_SECONDS, data)])
}

fn reply(
    query: &Message,
    code: ResponseCode,
    records: Vec<Record>,
    transport: Transport,
) -> Answer {
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.response_code = code;
    message.add_queries(query.queries.iter().cloned());
    message.add_answers(records);
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(OWN_PAYLOAD_BYTES);
        message.set_edns(edns);
    }
    let room = match (transport, &query.edns) {
        (Transport::Tcp, _) => STREAM_BYTES,
        (Transport::Udp, None) => DATAGRAM_BYTES,
        (Transport::Udp, Some(edns)) => usize::from(edns.max_payload()).max(DATAGRAM_BYTES),
    };
    match message.to_vec() {
        Ok(bytes) if bytes.len() <= room => Answer::Reply(bytes),
        Ok(_) => message.truncate().to_vec().map_or(Answer::Ignore, Answer::Reply),
        Err(_) => Answer::Ignore,
    }
}

/// Whoever sends garbage hears so, if there is a number to answer to.
fn malformed(query: &[u8]) -> Answer {
    const HEADER_BYTES: usize = 12;
    const RESPONSE_BIT: u8 = 0x80;
    match query {
        [high, low, flags, ..] if query.len() >= HEADER_BYTES && flags & RESPONSE_BIT == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            let error = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
            error.to_vec().map_or(Answer::Ignore, Answer::Reply)
        }
        _ => Answer::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shoal_model::ContainerId;

    use super::*;
    use crate::Owner;

    fn example(count: u8) -> (View, Names) {
        let network = NetworkId::from_bytes([1; 32]);
        let names = Names::default();
        let short = "0123456789ab".to_owned();
        for n in 0..count {
            let owner = Owner::Container(ContainerId::from_bytes([n; 32]));
            let own = [format!("web{n}"), "Web".into(), short.clone()];
            names.set(&network, &owner, &own, &[[10, 0, 0, n].into()]);
        }
        (View { networks: vec![(network, "mynet".into())] }, names)
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn ask(message: &Message, count: u8, transport: Transport, turn: usize) -> Option<Message> {
        let (view, names) = example(count);
        match answer(&message.to_vec().unwrap(), &view, &names, transport, turn) {
            Answer::Reply(bytes) => Some(Message::from_vec(&bytes).unwrap()),
            Answer::Forward => None,
            Answer::Ignore => panic!("ignored"),
        }
    }

    fn addresses(reply: &Message) -> Vec<u8> {
        let of = |record: &Record| match &record.data {
            RData::A(a) => a.0.octets()[3],
            other => panic!("{other}"),
        };
        reply.answers.iter().map(of).collect()
    }

    #[test]
    fn names_of_the_network() {
        for name in ["web1.", "WEB1.", "web1.mynet.", "web1.MyNet."] {
            let message = query(name, RecordType::A);
            let reply = ask(&message, 3, Transport::Udp, 0).unwrap();
            assert_eq!(addresses(&reply), [1], "{name}");
            assert_eq!(reply.metadata.id, message.metadata.id);
            assert!(reply.metadata.recursion_desired && reply.metadata.recursion_available);
            assert_eq!(reply.queries, message.queries);
        }
    }

    #[test]
    fn several_addresses_take_turns() {
        for (turn, want) in [(0, [0, 1, 2]), (1, [1, 2, 0]), (5, [2, 0, 1])] {
            let reply = ask(&query("web.", RecordType::A), 3, Transport::Udp, turn).unwrap();
            assert_eq!(addresses(&reply), want);
        }
    }

    #[test]
    fn a_name_of_ours_has_no_other_records() {
        for kind in [RecordType::AAAA, RecordType::MX, RecordType::TXT] {
            let reply = ask(&query("web.", kind), 3, Transport::Udp, 0).unwrap();
            assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
            assert!(reply.answers.is_empty());
        }
    }

    #[test]
    fn other_names_are_asked_elsewhere() {
        for name in ["example.org.", "web.other.", "webmynet.", "mynet.", "."] {
            assert_eq!(ask(&query(name, RecordType::A), 3, Transport::Udp, 0), None, "{name}");
        }
        let elsewhere = query("9.9.9.9.in-addr.arpa.", RecordType::PTR);
        assert_eq!(ask(&elsewhere, 3, Transport::Udp, 0), None);
    }

    #[test]
    fn reverse() {
        let message = query("1.0.0.10.in-addr.arpa.", RecordType::PTR);
        let reply = ask(&message, 3, Transport::Udp, 0).unwrap();
        assert_eq!(reply.answers[0].data.to_string(), "web1.mynet.");
    }

    #[test]
    fn what_does_not_fit_is_marked_and_fits_elsewhere() {
        let mut message = query("web.", RecordType::A);
        let reply = ask(&message, 100, Transport::Udp, 0).unwrap();
        assert!(reply.metadata.truncation && reply.answers.is_empty());
        assert_eq!(addresses(&ask(&message, 100, Transport::Tcp, 0).unwrap()).len(), 100);
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        message.set_edns(edns);
        assert_eq!(addresses(&ask(&message, 100, Transport::Udp, 0).unwrap()).len(), 100);
    }

    #[test]
    fn odd_messages() {
        let (view, names) = example(1);
        let ask = |bytes: &[u8]| answer(bytes, &view, &names, Transport::Udp, 0);
        assert_eq!(ask(b""), Answer::Ignore);
        assert_eq!(ask(&[0xff; 12]), Answer::Ignore);
        let Answer::Reply(reply) = ask(&[1, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0]) else { panic!() };
        let reply = Message::from_vec(&reply).unwrap();
        assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
        assert_eq!(reply.metadata.id, 0x0102);
        let mut response = query("web.", RecordType::A);
        response.metadata.message_type = MessageType::Response;
        assert_eq!(ask(&response.to_vec().unwrap()), Answer::Ignore);
        let Answer::Reply(reply) =
            failure(&query("x.", RecordType::A).to_vec().unwrap(), Transport::Udp)
        else {
            panic!()
        };
        let reply = Message::from_vec(&reply).unwrap();
        assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (view, names) = example(1);
            answer(&bytes, &view, &names, Transport::Udp, 0);
            failure(&bytes, Transport::Tcp);
        }
    }
}
