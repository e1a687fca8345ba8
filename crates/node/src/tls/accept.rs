//! The cluster port: accepts connections and finishes their TLS handshake before anything
//! else sees them.
//!
//! Invariants: a slow or malicious peer holds one of a bounded number of handshake places for
//! a bounded time; one without a certificate holds one of a few connections for minutes at most;
//! garbage ends its own connection and nothing else.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::Credentials;
use crate::config::{MAX_CONNECTIONS, MAX_HANDSHAKES};
use crate::pki::PeerName;

/// Pause after the system refused to hand out a connection (usually: no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Finished handshakes waiting for the gRPC server.
const ACCEPTED_QUEUE: usize = 64;
/// Connections of peers without a certificate at once. Each is a node about to join.
const MAX_STRANGERS: usize = 256;
/// How long such a peer may stay: a certificate is issued within seconds.
const STRANGERS_STAY: Duration = Duration::from_secs(300);

/// Who is at the other end, as far as TLS can tell.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Where it comes from.
    pub addr: SocketAddr,
    /// Its verified name, if it showed a certificate.
    pub name: Option<PeerName>,
}

/// A connection whose handshake is done.
pub struct Accepted {
    stream: TlsStream<TcpStream>,
    peer: PeerInfo,
    /// Set while the peer has no name.
    stranger: Option<Stranger>,
    _place: OwnedSemaphorePermit,
}

/// One of the few places for peers without a certificate, and until when it is theirs: anybody
/// can ask for one, and the members' connections must not wait for them.
struct Stranger {
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Stranger {
    fn new(place: OwnedSemaphorePermit) -> Self {
        Self { until: Box::pin(tokio::time::sleep(STRANGERS_STAY)), _place: place }
    }
}

/// The listening socket and the handshakes in progress.
pub struct Listener {
    listener: TcpListener,
    credentials: Arc<Credentials>,
    handshake_timeout: Duration,
}

impl Listener {
    /// Wraps a bound socket.
    pub fn new(
        listener: TcpListener,
        credentials: Arc<Credentials>,
        handshake_timeout: Duration,
    ) -> Self {
        Self { listener, credentials, handshake_timeout }
    }

    /// Accepts until `stop`; finished connections come out of the returned queue.
    pub fn run(
        self,
        stop: CancellationToken,
    ) -> (impl Future<Output = ()> + Send, mpsc::Receiver<std::io::Result<Accepted>>) {
        let (sender, receiver) = mpsc::channel(ACCEPTED_QUEUE);
        let work = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.accept_all(sender) => {}
            }
        };
        (work, receiver)
    }

    async fn accept_all(self, sender: mpsc::Sender<std::io::Result<Accepted>>) {
        let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
            let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else { return };
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, addr) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "cluster port: accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let credentials = Arc::clone(&self.credentials);
            let strangers = Arc::clone(&strangers);
            let sender = sender.clone();
            let limit = self.handshake_timeout;
            tasks.spawn(async move {
                let shaken =
                    tokio::time::timeout(limit, handshake(stream, addr, &credentials)).await;
                drop(turn);
                match shaken {
                    Ok(Ok((stream, peer))) => {
                        let stranger = match peer.name {
                            Some(_) => None,
                            None => match strangers.try_acquire_owned() {
                                Ok(place) => Some(Stranger::new(place)),
                                Err(_) => {
                                    tracing::debug!(%addr, "cluster port: too many strangers");
                                    return;
                                }
                            },
                        };
                        let accepted = Accepted { stream, peer, stranger, _place: place };
                        // The receiver is gone only when the server stops.
                        let _ = sender.send(Ok(accepted)).await;
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(%addr, %error, "cluster port: handshake failed")
                    }
                    Err(_) => tracing::debug!(%addr, "cluster port: handshake timed out"),
                }
            });
        }
    }
}

async fn handshake(
    stream: TcpStream,
    addr: SocketAddr,
    credentials: &Credentials,
) -> std::io::Result<(TlsStream<TcpStream>, PeerInfo)> {
    stream.set_nodelay(true)?;
    let config = Arc::clone(&credentials.current().server);
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let name = match leaf {
        None => None,
        Some(leaf) => Some(PeerName::from_certificate(leaf).map_err(std::io::Error::other)?),
    };
    Ok((stream, PeerInfo { addr, name }))
}

impl Connected for Accepted {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(stranger) = &mut self.stranger
            && stranger.until.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
