//! The embedded resolver: one task for each container on a user-made network,
//! with sockets that were opened inside the container's namespace.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket},
    path::{Path, PathBuf},
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    answer::{self, Answer, Transport, View},
    files::{EMBEDDED_ADDRESS, HostResolver},
    forward,
    names::Names,
};
use crate::firewall::redirect::redirect_dns;

/// Queries of all containers that may be asked elsewhere at a time: each costs
/// a socket and 64 KiB.
const FORWARDS_MAX: usize = 512;
/// Of these, the queries of one container: resolvers that do not answer must
/// cost the others nothing.
const OWN_FORWARDS_MAX: usize = 32;
/// How long a query waits for its turn to be asked elsewhere. The C library
/// asks again after five seconds.
const TURN_LIMIT: Duration = Duration::from_secs(2);
/// Queries and connections of one container that may be open at a time, those
/// that wait for their turn included.
const OPEN_MAX: usize = 128;
/// Largest query taken from a datagram.
const QUERY_BYTES: usize = 4096;
/// How long a stream may be silent.
const STREAM_LIMIT: Duration = Duration::from_secs(10);
/// After an error of a socket, so that a lasting one does not spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// What all resolvers of the node share.
#[derive(Debug)]
pub(crate) struct Resolver {
    names: Arc<Names>,
    resolv_conf: PathBuf,
    forwards: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Sockets inside a container's namespace.
#[derive(Debug)]
pub(crate) struct Sockets {
    udp: StdUdpSocket,
    tcp: StdTcpListener,
}

/// A resolver at work; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    scope: Arc<RwLock<Scope>>,
    _stop: DropGuard,
}

/// What one container's resolver knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// Whose names it answers.
    pub(crate) view: View,
    /// The container's own resolvers; empty takes the host's.
    pub(crate) servers: Vec<IpAddr>,
    /// Whether it may ask outside: a container of internal networks only could
    /// carry data out in names.
    pub(crate) forwards: bool,
}

impl Sockets {
    /// Opens them in the calling thread's namespace, which is `fresh` or had a
    /// resolver before, and leads port 53 there.
    pub(crate) fn open(fresh: bool) -> io::Result<Self> {
        let udp = StdUdpSocket::bind((EMBEDDED_ADDRESS, 0))?;
        let tcp = StdTcpListener::bind((EMBEDDED_ADDRESS, 0))?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let (udp_port, tcp_port) = (udp.local_addr()?.port(), tcp.local_addr()?.port());
        redirect_dns(EMBEDDED_ADDRESS, udp_port, tcp_port, fresh)?;
        Ok(Self { udp, tcp })
    }
}

impl Served {
    /// Replaces what the resolver knows.
    pub(crate) fn set(&self, scope: Scope) {
        *self.scope.write().unwrap_or_else(|e| e.into_inner()) = scope;
    }
}

impl Resolver {
    /// Resolvers end with `stop`; `tasks` knows them.
    pub(crate) fn new(
        names: Arc<Names>,
        resolv_conf: PathBuf,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let forwards = Semaphore::new(FORWARDS_MAX);
        Arc::new(Self { names, resolv_conf, forwards, tasks, stop })
    }

    /// Starts answering on `sockets`. Must be called inside a tokio runtime.
    pub(crate) fn serve(self: &Arc<Self>, sockets: Sockets, scope: Scope) -> io::Result<Served> {
        let stop = self.stop.child_token();
        let scope = Arc::new(RwLock::new(scope));
        let desk = Desk {
            resolver: Arc::clone(self),
            scope: Arc::clone(&scope),
            udp: UdpSocket::from_std(sockets.udp)?,
            forwards: Semaphore::new(OWN_FORWARDS_MAX),
            turn: AtomicUsize::new(0),
        };
        let tcp = TcpListener::from_std(sockets.tcp)?;
        let token = stop.clone();
        self.tasks.spawn(async move {
            token.run_until_cancelled(Arc::new(desk).run(tcp)).await;
        });
        Ok(Served { scope, _stop: stop.drop_guard() })
    }
}

/// The host's resolvers as they are now.
async fn host_servers(resolv_conf: &Path) -> Vec<IpAddr> {
    let text = tokio::fs::read_to_string(resolv_conf).await.unwrap_or_default();
    HostResolver::parse(&text).servers
}

/// One container's resolver.
struct Desk {
    resolver: Arc<Resolver>,
    scope: Arc<RwLock<Scope>>,
    udp: UdpSocket,
    forwards: Semaphore,
    turn: AtomicUsize,
}

impl Desk {
    async fn run(self: Arc<Self>, tcp: TcpListener) {
        let mut open = JoinSet::new();
        let mut buffer = vec![0; QUERY_BYTES];
        loop {
            let room = open.len() < OPEN_MAX;
            let result = tokio::select! {
                received = self.udp.recv_from(&mut buffer), if room => received.map(|(length, from)| {
                    let query = buffer[..length].to_vec();
                    open.spawn(Arc::clone(&self).datagram(query, from));
                }),
                accepted = tcp.accept(), if room => accepted.map(|(stream, _)| {
                    open.spawn(Arc::clone(&self).stream(stream));
                }),
                Some(_) = open.join_next() => Ok(()),
            };
            if let Err(error) = result {
                tracing::debug!(%error, "socket of an embedded resolver");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }

    async fn datagram(self: Arc<Self>, query: Vec<u8>, from: SocketAddr) {
        if let Some(reply) = self.reply(&query, Transport::Udp).await {
            // The asker may be gone.
            let _ = self.udp.send_to(&reply, from).await;
        }
    }

    async fn stream(self: Arc<Self>, mut stream: TcpStream) {
        while let Ok(Ok(query)) = timeout(STREAM_LIMIT, forward::read_message(&mut stream)).await {
            let Some(reply) = self.reply(&query, Transport::Tcp).await else { return };
            let written = timeout(STREAM_LIMIT, forward::write_message(&mut stream, &reply)).await;
            if !matches!(written, Ok(Ok(()))) {
                return;
            }
        }
    }

    async fn reply(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let scope = self.scope.read().unwrap_or_else(|e| e.into_inner()).clone();
        let answer = answer::answer(query, &scope.view, &self.resolver.names, transport, turn);
        let answer = match answer {
            Answer::Forward => match self.forward(query, &scope, transport).await {
                Some(reply) => Answer::Reply(reply),
                None => answer::failure(query, transport),
            },
            other => other,
        };
        match answer {
            Answer::Reply(reply) => Some(reply),
            Answer::Forward | Answer::Ignore => None,
        }
    }

    /// Asks elsewhere, when it is this query's turn. The container's own turn
    /// comes first: what waits for it takes no place from others.
    async fn forward(&self, query: &[u8], scope: &Scope, transport: Transport) -> Option<Vec<u8>> {
        if !scope.forwards {
            return None;
        }
        let turn = async {
            let own = self.forwards.acquire().await.ok()?;
            let shared = self.resolver.forwards.acquire().await.ok()?;
            Some((own, shared))
        };
        let _turn = timeout(TURN_LIMIT, turn).await.ok()??;
        let servers = match scope.servers.as_slice() {
            [] => host_servers(&self.resolver.resolv_conf).await,
            own => own.to_vec(),
        };
        forward::ask(query, &servers, transport).await
    }
}
