//! Asks the resolvers outside, on behalf of a container, from the node's own
//! network namespace.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::answer::Transport;

/// How long one resolver is waited for.
const SERVER_LIMIT: Duration = Duration::from_secs(2);
/// Resolvers asked for one query (the C library's MAXNS).
const SERVERS_MAX: usize = 3;
/// Largest answer taken from a datagram.
const DATAGRAM_BYTES: usize = 65_535;
/// Where resolvers are asked.
const PORT: u16 = 53;

/// The first answer from `servers`, asked in order the way the query came.
/// `None` when none of them says anything.
pub(crate) async fn ask(query: &[u8], servers: &[IpAddr], transport: Transport) -> Option<Vec<u8>> {
    for server in servers.iter().take(SERVERS_MAX) {
        let at = SocketAddr::new(*server, PORT);
        let asked = async {
            match transport {
                Transport::Udp => by_datagram(query, at).await,
                Transport::Tcp => by_stream(query, at).await,
            }
        };
        match timeout(SERVER_LIMIT, asked).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%server, %error, "resolver failed"),
            Err(_) => tracing::debug!(%server, "resolver did not answer"),
        }
    }
    None
}

/// A socket of its own for each query: a fresh source port is what makes
/// answers hard to forge.
async fn by_datagram(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(query, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_stream(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, query).await?;
    let answer = read_message(&mut stream).await?;
    if answers(query, &answer) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether `answer` has the number of `query` and is an answer.
fn answers(query: &[u8], answer: &[u8]) -> bool {
    answer.len() > 2 && query.get(..2) == answer.get(..2) && answer[2] & 0x80 != 0
}

/// Reads a message with its length before it (RFC 1035, 4.2.2).
pub(crate) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message with its length before it.
pub(crate) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}
