//! A node, its neighbour on the LAN, and what runs in containers. All of it
//! ends with the test: nothing has a name outside of it.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use shoal_model::{ContainerId, NetworkId, Timestamp};
use shoal_sys::netns;

use crate::{
    CreateNetwork, EndpointRequest, EndpointState, HostPort, IpamRequest, MacAddr, Netns,
    NetworkConfig, Networks, PoolRequest, PortRequest, Protocol, Result, SandboxRequest,
    SandboxState,
    link::{change::Change, socket::LinkSocket},
};

/// The node on its LAN.
pub(super) const NODE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The second host.
pub(super) const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// How long something that must not come is waited for; only ever beside the
/// same thing that does come.
const NOT_COMING: Duration = Duration::from_millis(400);
/// How long something that must come is waited for.
const COMING: Duration = Duration::from_secs(10);

/// The node a test runs on.
pub(super) struct Node {
    pub(super) networks: Arc<Networks>,
    pub(super) neighbour: OwnedFd,
    directory: tempfile::TempDir,
    config: NetworkConfig,
}

/// Runs `test` on a fresh node.
pub(super) fn on_a_node(test: impl AsyncFnOnce(&mut Node) + Send) {
    on_a_node_with(NetworkConfig { pool_size: 0, ..NetworkConfig::default() }, test);
}

/// Runs `test` on a fresh node with `config`.
pub(super) fn on_a_node_with(config: NetworkConfig, test: impl AsyncFnOnce(&mut Node) + Send) {
    run(config, false, test);
}

/// Runs `test` on a fresh node that forwards packets anyhow.
pub(super) fn on_a_router(test: impl AsyncFnOnce(&mut Node) + Send) {
    run(NetworkConfig { pool_size: 0, ..NetworkConfig::default() }, true, test);
}

fn run(config: NetworkConfig, router: bool, test: impl AsyncFnOnce(&mut Node) + Send) {
    netns::create_with(|namespace| {
        let namespace = namespace.try_clone_to_owned().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .on_thread_start(move || netns::enter_for_good(namespace.as_fd()).unwrap())
            .build()
            .unwrap();
        // A new namespace copies what the machine has, whatever that is.
        let forward = if router { "1" } else { "0" };
        std::fs::write("/proc/sys/net/ipv4/ip_forward", forward).unwrap();
        let neighbour = wire("uplink", NODE, NEIGHBOUR);
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let networks = Networks::open(directory.path(), config.clone()).await.unwrap();
            networks.warm().await.unwrap();
            let mut node = Node { networks, neighbour, directory, config };
            test(&mut node).await;
            node.networks.close().await;
        });
    })
    .unwrap();
}

/// The wire from the node to another host, which sends everything through the
/// node.
pub(super) fn wire(link: &str, node: Ipv4Addr, host: Ipv4Addr) -> OwnedFd {
    let mut links = LinkSocket::open().unwrap();
    let up = |link: &str| Change::Up { link: link.into() };
    let address =
        |link: &str, address| Change::AddAddress { link: link.into(), address, prefix: 24 };
    links.ensure(&[up("lo")]).unwrap();
    let (fd, ()) = netns::create_with(|inside| {
        let pair = Change::AddPair {
            host: link.into(),
            container: "eth0".into(),
            mac: MacAddr::for_ipv4(host),
            mtu_bytes: 1500,
        };
        links.apply(&[pair], Some(inside)).unwrap();
        links.ensure(&[address(link, node), up(link)]).unwrap();
        let mut own = LinkSocket::open().unwrap();
        let route = Change::AddDefaultRoute { link: "eth0".into(), gateway: node };
        own.ensure(&[address("eth0", host), up("lo"), up("eth0"), route]).unwrap();
    })
    .unwrap();
    fd
}

impl Node {
    pub(super) async fn network(&self, name: &str, change: impl FnOnce(&mut CreateNetwork)) {
        self.try_network(name, change).await.unwrap();
    }

    pub(super) async fn try_network(
        &self,
        name: &str,
        change: impl FnOnce(&mut CreateNetwork),
    ) -> Result<Arc<crate::Network>> {
        let mut request = CreateNetwork { name: name.into(), ..CreateNetwork::default() };
        change(&mut request);
        let id = NetworkId::from_bytes(std::array::from_fn(|i| {
            name.as_bytes().get(i).copied().unwrap_or(7)
        }));
        self.networks.create(request, id, Timestamp::EPOCH).await
    }

    /// A container called `name` in `networks`.
    pub(super) async fn container(
        &self,
        name: &str,
        networks: &[&str],
        ports: &[PortRequest],
    ) -> Container {
        self.try_container(name, request(name, networks, ports)).await.unwrap()
    }

    pub(super) async fn try_container(
        &self,
        name: &str,
        request: SandboxRequest,
    ) -> Result<Container> {
        let id = container_id(name);
        let sandbox = self.networks.sandbox(&id, request).await?;
        let Netns::Fd(namespace) = sandbox.netns else { panic!("{name} is on the host's network") };
        Ok(Container { id, namespace, state: sandbox.state })
    }

    /// Joins a container to one more network.
    pub(super) async fn connect(
        &self,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<EndpointState> {
        let endpoint = self.networks.place(container, request).await?;
        self.networks.join(container, endpoint.clone()).await?;
        Ok(endpoint)
    }

    /// The daemon ends and another one starts; containers run on.
    pub(super) async fn restart(&mut self, containers: &[&Container]) {
        for adopted in self.restart_with(containers).await {
            adopted.unwrap();
        }
    }

    /// As [`Node::restart`], with the answer for each container.
    pub(super) async fn restart_with(&mut self, containers: &[&Container]) -> Vec<Result<()>> {
        self.networks.close().await;
        self.networks = Networks::open(self.directory.path(), self.config.clone()).await.unwrap();
        let mut adopted = Vec::new();
        for container in containers {
            let process = Process::start(container.namespace.as_fd());
            let saved = container.state.clone();
            adopted.push(self.networks.adopt(&container.id, process.pid(), saved).await);
        }
        self.networks.warm().await.unwrap();
        adopted
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.path()
    }
}

/// A process in a namespace, for adoption by its number.
struct Process(std::process::Child);

impl Process {
    fn start(namespace: BorrowedFd<'_>) -> Self {
        let start = || std::process::Command::new("sleep").arg("60").spawn();
        Self(netns::enter(namespace, start).unwrap().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a test has of a container.
pub(super) struct Container {
    pub(super) id: ContainerId,
    pub(super) namespace: OwnedFd,
    pub(super) state: SandboxState,
}

impl Container {
    pub(super) fn ip(&self) -> Ipv4Addr {
        self.state.endpoints[0].ipv4
    }
}

pub(super) fn container_id(name: &str) -> ContainerId {
    ContainerId::from_bytes(std::array::from_fn(|i| name.as_bytes().get(i).copied().unwrap_or(1)))
}

pub(super) fn request(name: &str, networks: &[&str], ports: &[PortRequest]) -> SandboxRequest {
    let endpoint = |network: &&str| EndpointRequest {
        network: (*network).into(),
        ..EndpointRequest::default()
    };
    SandboxRequest {
        name: name.into(),
        endpoints: networks.iter().map(endpoint).collect(),
        ports: ports.to_vec(),
        ..SandboxRequest::default()
    }
}

pub(super) fn subnet(text: &str) -> IpamRequest {
    let pool = PoolRequest { subnet: text.into(), ..PoolRequest::default() };
    IpamRequest { pools: vec![pool], ..IpamRequest::default() }
}

pub(super) fn option(key: &str, value: &str) -> BTreeMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

/// Port 80 of the container at `host_port`.
pub(super) fn publish(host_port: u16) -> PortRequest {
    PortRequest {
        container_port: 80,
        protocol: Protocol::Tcp,
        host_ip: None,
        host_port: HostPort::Fixed(host_port),
    }
}

/// Something that answers on TCP and UDP with the address of who asks.
pub(super) struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on all addresses of a namespace.
    pub(super) fn start(namespace: BorrowedFd<'_>, port: u16) -> Self {
        Self::start_at(namespace, (Ipv4Addr::UNSPECIFIED, port).into())
    }

    pub(super) fn start_at(namespace: BorrowedFd<'_>, at: SocketAddr) -> Self {
        let sockets = || (TcpListener::bind(at).unwrap(), UdpSocket::bind(at).unwrap());
        let (tcp, udp) = netns::enter(namespace, sockets).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, ends_too) = (Arc::clone(&stop), Arc::clone(&stop));
        let streams = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                match tcp.accept() {
                    Ok((mut stream, from)) => {
                        let _ = stream.write_all(from.ip().to_string().as_bytes());
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        let datagrams = std::thread::spawn(move || {
            while !ends_too.load(Ordering::Relaxed) {
                if let Ok((_, from)) = udp.recv_from(&mut [0; 8]) {
                    let _ = udp.send_to(from.ip().to_string().as_bytes(), from);
                }
            }
        });
        Self { stop, threads: vec![streams, datagrams] }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Asks a [`Server`] from a namespace (`None`: the node's) over TCP.
fn try_ask(
    from: Option<BorrowedFd<'_>>,
    to: (Ipv4Addr, u16),
    limit: Duration,
) -> io::Result<String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&to.into(), limit)?;
        stream.set_read_timeout(Some(limit))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    match from {
        Some(namespace) => netns::enter(namespace, ask)?,
        None => ask(),
    }
}

/// The address under which the server sees the asker.
#[track_caller]
pub(super) fn ask(from: Option<BorrowedFd<'_>>, to: (Ipv4Addr, u16)) -> String {
    try_ask(from, to, COMING).unwrap_or_else(|e| panic!("{to:?}: {e}"))
}

/// That nobody answers at `to`.
#[track_caller]
pub(super) fn assert_closed(from: Option<BorrowedFd<'_>>, to: (Ipv4Addr, u16)) {
    if let Ok(answer) = try_ask(from, to, NOT_COMING) {
        panic!("{to:?} answered {answer:?}");
    }
}

/// Asks over UDP.
#[track_caller]
pub(super) fn ask_udp(from: Option<BorrowedFd<'_>>, to: (Ipv4Addr, u16)) -> String {
    let ask = || -> io::Result<String> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(COMING))?;
        socket.send(b"?")?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    match from {
        Some(namespace) => netns::enter(namespace, ask).unwrap().unwrap(),
        None => ask().unwrap(),
    }
}

/// One socket that keeps asking over UDP, so that it is always the same flow.
pub(super) struct Dialogue(UdpSocket);

impl Dialogue {
    pub(super) fn start(from: BorrowedFd<'_>, to: (Ipv4Addr, u16)) -> Self {
        let socket = netns::enter(from, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        let socket = socket.unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(NOT_COMING)).unwrap();
        Self(socket)
    }

    /// The answer, if any; asked several times, as datagrams may be lost.
    pub(super) fn ask(&self) -> Option<String> {
        let mut buffer = [0; 64];
        (0..5).find_map(|_| {
            self.0.send(b"?").ok()?;
            let length = self.0.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    }
}

/// Whether frames between containers pass the node's firewall. A kernel that
/// cannot do so has only the one way.
pub(super) fn filter_bridges(on: bool) {
    let setting = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    match std::fs::write(setting, if on { "1" } else { "0" }) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: no br_netfilter in this kernel");
        }
        other => other.unwrap(),
    }
}

/// An `nft` that refuses everything as long as it is told to.
pub(super) struct BusyNft(tempfile::TempDir);

impl BusyNft {
    pub(super) fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        let script = format!(
            "#!/bin/sh\nif [ -e {} ]; then echo 'Device or resource busy' >&2; exit 1; fi\n\
             exec nft \"$@\"\n",
            this.flag().display()
        );
        std::fs::write(this.program(), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(this.program(), mode).unwrap();
        this
    }

    pub(super) fn program(&self) -> PathBuf {
        self.0.path().join("nft")
    }

    pub(super) fn refuse(&self, on: bool) {
        match on {
            true => std::fs::write(self.flag(), "").unwrap(),
            false => std::fs::remove_file(self.flag()).unwrap(),
        }
    }

    fn flag(&self) -> PathBuf {
        self.0.path().join("busy")
    }
}

/// What a program says in the node's namespace.
pub(super) fn output(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until `condition` holds.
#[track_caller]
pub(super) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + COMING;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
