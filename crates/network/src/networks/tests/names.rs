//! The embedded resolver, asked as a program in a container asks it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};
use shoal_sys::netns;

use super::harness::*;
use crate::{EndpointRequest, NetworkConfig};

const LIMIT: Duration = Duration::from_secs(10);

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn ask_resolver(namespace: BorrowedFd<'_>, message: &Message) -> Message {
    let ask = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.connect("127.0.0.11:53").unwrap();
        socket.send(&message.to_vec().unwrap()).unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        Message::from_vec(&buffer[..length]).unwrap()
    };
    netns::enter(namespace, ask).unwrap()
}

fn ask_by_stream(namespace: BorrowedFd<'_>, message: &Message) -> Message {
    let ask = || {
        let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let bytes = message.to_vec().unwrap();
        stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        Message::from_vec(&answer).unwrap()
    };
    netns::enter(namespace, ask).unwrap()
}

fn addresses(message: &Message) -> Vec<Ipv4Addr> {
    let of = |record: &hickory_proto::rr::Record| match &record.data {
        RData::A(a) => Some(a.0),
        _ => None,
    };
    message.answers.iter().filter_map(of).collect()
}

/// What a container is told about `name`.
pub(super) fn lookup(container: &Container, name: &str) -> Vec<Ipv4Addr> {
    let message = query(&format!("{name}."), RecordType::A);
    addresses(&ask_resolver(container.namespace.as_fd(), &message))
}

fn no_upstream() -> (tempfile::NamedTempFile, NetworkConfig) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = NetworkConfig {
        pool_size: 0,
        resolv_conf: file.path().to_owned(),
        ..NetworkConfig::default()
    };
    (file, config)
}

#[test]
fn containers_find_each_other_by_name() {
    let (_file, config) = no_upstream();
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        node.network("other", |_| ()).await;
        let mut asked = request("a1", &["web"], &[]);
        asked.endpoints[0].aliases = vec!["db".into()];
        asked.hostname = "inside".into();
        let a = node.try_container("a1", asked).await.unwrap();
        let b = node.container("b1", &["web"], &[]).await;
        let far = node.container("f1", &["other"], &[]).await;
        let dns_names = &a.state.endpoints[0].dns_names;
        assert_eq!(dns_names[..], ["a1", "db", a.id.short(), "inside"]);
        for name in ["a1", "DB", a.id.short(), "inside", "a1.web"] {
            assert_eq!(lookup(&b, name), [a.ip()], "{name}");
        }
        assert_eq!(lookup(&a, "a1"), [a.ip()]);
        let reverse = {
            let [w, x, y, z] = a.ip().octets();
            query(&format!("{z}.{y}.{x}.{w}.in-addr.arpa."), RecordType::PTR)
        };
        let answer = ask_by_stream(b.namespace.as_fd(), &reverse);
        assert_eq!(answer.answers[0].data.to_string(), "a1.web.");
        // Nobody outside can be asked: a quick failure, not silence.
        let unknown = query("f1.", RecordType::A);
        let answer = ask_resolver(b.namespace.as_fd(), &unknown);
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert_eq!(lookup(&far, "a1"), [] as [Ipv4Addr; 0]);

        node.networks.rename(&a.id, "a2");
        for name in ["a2", "db", "inside"] {
            assert_eq!(lookup(&b, name), [a.ip()], "{name}");
        }
        assert_eq!(lookup(&b, "a1"), [] as [Ipv4Addr; 0]);
        node.networks.release(&a.id).await.unwrap();
        assert_eq!(lookup(&b, "db"), [] as [Ipv4Addr; 0]);
    });
}

#[test]
fn names_follow_those_who_join_and_leave() {
    let (_file, config) = no_upstream();
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        let a = node.container("a1", &["bridge"], &[]).await;
        let b = node.container("b1", &["web"], &[]).await;
        assert!(!a.state.embedded_dns && b.state.embedded_dns);
        let asked = EndpointRequest {
            network: "web".into(),
            aliases: vec!["late".into()],
            ..EndpointRequest::default()
        };
        let endpoint = node.connect(&a.id, asked).await.unwrap();
        assert_eq!(lookup(&b, "late"), [endpoint.ipv4]);
        assert_eq!(lookup(&a, "b1"), [b.ip()]);
        node.networks.disconnect(&a.id, "web").await.unwrap();
        assert_eq!(lookup(&b, "late"), [] as [Ipv4Addr; 0]);
        assert_eq!(lookup(&a, "b1"), [] as [Ipv4Addr; 0]);
    });
}

/// A name server that knows one answer.
fn upstream(at: BorrowedFd<'_>) -> std::thread::JoinHandle<()> {
    let socket = netns::enter(at, || UdpSocket::bind("0.0.0.0:53").unwrap()).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let query = Message::from_vec(&buffer[..length]).unwrap();
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.add_queries(query.queries.clone());
        let data = RData::A(hickory_proto::rr::rdata::A([192, 0, 2, 7].into()));
        let name = query.queries[0].name().clone();
        answer.add_answer(hickory_proto::rr::Record::from_rdata(name, 60, data));
        // A forged answer first: it is not taken.
        let mut forged = answer.clone();
        forged.metadata.id = query.metadata.id.wrapping_add(1);
        socket.send_to(&forged.to_vec().unwrap(), from).unwrap();
        socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
    })
}

#[test]
fn other_names_are_asked_at_the_hosts_resolvers() {
    let (file, config) = no_upstream();
    std::fs::write(file.path(), format!("nameserver {NEIGHBOUR}\n")).unwrap();
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        node.network("inner", |request| request.internal = true).await;
        let server = upstream(node.neighbour.as_fd());
        // Names must not carry data out of an internal network.
        let inner = node.container("i1", &["inner"], &[]).await;
        let message = query("example.org.", RecordType::A);
        let answer = ask_resolver(inner.namespace.as_fd(), &message);
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);

        let a = node.container("a1", &["web"], &[]).await;
        let a_namespace = a.namespace.try_clone().unwrap();
        let asked = tokio::task::spawn_blocking(move || {
            ask_resolver(a_namespace.as_fd(), &query("example.org.", RecordType::A))
        });
        assert_eq!(addresses(&asked.await.unwrap()), [Ipv4Addr::new(192, 0, 2, 7)]);
        server.join().unwrap();
    });
}

#[test]
fn a_container_can_be_a_name_server_itself() {
    let (_file, config) = no_upstream();
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        let a = node.container("a1", &["web"], &[]).await;
        let _own = Server::start(a.namespace.as_fd(), 53);
        assert_eq!(lookup(&a, "a1"), [a.ip()]);
        let b = node.container("b1", &["web"], &[]).await;
        ask(Some(b.namespace.as_fd()), (a.ip(), 53));
    });
}

/// Sends a query and does not wait for its answer.
fn ask_without_waiting(container: &Container, count: u16) -> Vec<UdpSocket> {
    let ask = || {
        let sockets = (0..count).map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket.connect("127.0.0.11:53").unwrap();
            socket.send(&query("example.org.", RecordType::A).to_vec().unwrap()).unwrap();
            socket
        });
        sockets.collect()
    };
    netns::enter(container.namespace.as_fd(), ask).unwrap()
}

/// A name server that takes its time and then answers that there is no error.
fn slow_upstream(at: BorrowedFd<'_>, count: usize) -> std::thread::JoinHandle<()> {
    let socket = netns::enter(at, || UdpSocket::bind((NEIGHBOUR, 53)).unwrap()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    std::thread::spawn(move || {
        std::thread::scope(|scope| {
            for _ in 0..count {
                let mut buffer = [0; 512];
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
                answer.add_queries(query.queries);
                let (socket, bytes) = (&socket, answer.to_vec().unwrap());
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(20));
                    socket.send_to(&bytes, from).unwrap();
                });
            }
        });
    })
}

#[test]
fn containers_that_ask_too_much_starve_nobody() {
    let (file, config) = no_upstream();
    std::fs::write(file.path(), format!("nameserver {NEIGHBOUR}\n")).unwrap();
    on_a_node_with(config, async |node| {
        node.network("web", |_| ()).await;
        let _silent = netns::enter(node.neighbour.as_fd(), || {
            output("ip", &["address", "add", "10.99.0.3/24", "dev", "eth0"]);
            UdpSocket::bind("10.99.0.3:53").unwrap()
        })
        .unwrap();
        let mut waiting = Vec::new();
        for name in ["greedy1", "greedy2", "greedy3", "greedy4"] {
            let mut asked = request(name, &["web"], &[]);
            asked.dns.servers = vec!["10.99.0.3".parse().unwrap()];
            let greedy = node.try_container(name, asked).await.unwrap();
            waiting.push(ask_without_waiting(&greedy, 128));
        }
        let modest = node.container("modest", &["web"], &[]).await;
        // A few more than one container's share: they wait for the others' turns to end.
        let upstream = slow_upstream(node.neighbour.as_fd(), 36);
        let answered = tokio::task::spawn_blocking(move || {
            let sockets = ask_without_waiting(&modest, 36);
            sockets
                .iter()
                .filter(|socket| {
                    let mut buffer = [0; 512];
                    let length = socket.recv(&mut buffer).unwrap();
                    let answer = Message::from_vec(&buffer[..length]).unwrap();
                    answer.metadata.response_code == ResponseCode::NoError
                })
                .count()
        });
        assert_eq!(answered.await.unwrap(), 36);
        upstream.join().unwrap();
    });
}
