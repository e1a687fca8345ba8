//! Ports of the host, each held by a bound socket, so that a port in use by
//! any other program is seen, and stays ours while a container has it.
//!
//! The sockets never listen: packets are sent on by the firewall. What arrives
//! before its rule is there is refused by the kernel, as it should be.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt},
};

use crate::{
    NetworkError, Result,
    error::PortError,
    request::{HostPort, PortRequest, Protocol},
    state::BoundPort,
};

/// Where ephemeral ports come from when the kernel does not say.
const DEFAULT_RANGE: (u16, u16) = (49_153, 65_535);

/// The ports held, with a socket each.
#[derive(Debug, Default)]
pub(crate) struct PortTable {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    sockets: BTreeMap<(Protocol, u16), Vec<HeldPort>>,
    /// Where the next search for an ephemeral port begins.
    next: u16,
}

/// One address of a port; the socket is missing where it could not be had
/// again.
#[derive(Debug)]
struct HeldPort {
    host_ip: Ipv4Addr,
    _socket: Option<OwnedFd>,
}

/// A port held; dropping it lets the port go.
#[derive(Debug)]
pub(crate) struct Reservation {
    table: Arc<PortTable>,
    pub(crate) bound: BoundPort,
}

impl PortTable {
    /// Holds a port as asked for, for the container at `to`; `default_ip`
    /// stands in when the request names no address.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        request: &PortRequest,
        default_ip: Ipv4Addr,
        to: Ipv4Addr,
    ) -> Result<Reservation, PortError> {
        let host_ip = match request.host_ip {
            Some(IpAddr::V4(ip)) => ip,
            _ => default_ip,
        };
        let bound = |host_port| BoundPort {
            container_port: request.container_port,
            protocol: request.protocol,
            host_ip,
            host_port,
        };
        match request.host_port {
            HostPort::Fixed(port) if port != 0 => self.take(bound(port), to, false),
            HostPort::Any | HostPort::Fixed(_) => {
                let range = ephemeral_range();
                let start = self.lock().next.clamp(range.0, range.1);
                self.first_free(range, start, bound, to)
            }
            HostPort::Range(first, last) => self.first_free((first, last), first, bound, to),
        }
    }

    /// Holds again the port of a container that kept running. Not getting the
    /// socket is no reason to cut the container off.
    pub(crate) fn restore(self: &Arc<Self>, bound: BoundPort) -> Result<Reservation, PortError> {
        self.take(bound, Ipv4Addr::UNSPECIFIED, true)
    }

    fn first_free(
        self: &Arc<Self>,
        (first, last): (u16, u16),
        start: u16,
        bound: impl Fn(u16) -> BoundPort,
        to: Ipv4Addr,
    ) -> Result<Reservation, PortError> {
        for port in (start..=last).chain(first..start) {
            match self.take(bound(port), to, false) {
                Ok(reservation) => {
                    self.lock().next = port.checked_add(1).unwrap_or(first);
                    return Ok(reservation);
                }
                Err(PortError::Allocated { .. }) => {}
                Err(PortError::Bind { ref reason, .. }) if reason == IN_USE => {}
                Err(other) => return Err(other),
            }
        }
        Err(PortError::AllAllocated)
    }

    fn take(
        self: &Arc<Self>,
        bound: BoundPort,
        to: Ipv4Addr,
        even_without_socket: bool,
    ) -> Result<Reservation, PortError> {
        let BoundPort { host_ip, host_port: port, protocol, container_port } = bound;
        let mut held = self.lock();
        let here = held.sockets.entry((protocol, port)).or_default();
        let any = host_ip.is_unspecified();
        if here.iter().any(|h| any || h.host_ip.is_unspecified() || h.host_ip == host_ip) {
            return Err(PortError::Allocated { host_ip, port });
        }
        let socket = match hold(protocol, SocketAddrV4::new(host_ip, port)) {
            Ok(socket) => Some(socket),
            Err(error) if even_without_socket => {
                tracing::warn!(%error, %host_ip, port, "published port not held again");
                None
            }
            Err(error) => {
                let reason = reason(&error);
                return Err(PortError::Bind {
                    host_ip,
                    port,
                    container_ip: to,
                    container_port,
                    protocol,
                    reason,
                });
            }
        };
        here.push(HeldPort { host_ip, _socket: socket });
        Ok(Reservation { table: Arc::clone(self), bound })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let BoundPort { host_ip, host_port, protocol, .. } = self.bound;
        let mut held = self.table.lock();
        if let Some(here) = held.sockets.get_mut(&(protocol, host_port)) {
            here.retain(|held| held.host_ip != host_ip);
            if here.is_empty() {
                held.sockets.remove(&(protocol, host_port));
            }
        }
    }
}

/// Refuses what cannot be published at all, before anything is done.
pub(crate) fn check(request: &PortRequest) -> Result<()> {
    if let Some(ip @ IpAddr::V6(_)) = request.host_ip {
        return Err(NetworkError::NotImplemented(format!(
            "publishing a port on IPv6 address {ip}"
        )));
    }
    if let HostPort::Range(first, last) = request.host_port
        && (first == 0 || first > last)
    {
        return Err(NetworkError::Invalid(format!("invalid host port range {first}-{last}")));
    }
    if request.container_port == 0 {
        return Err(NetworkError::Invalid("invalid container port 0".into()));
    }
    Ok(())
}

const IN_USE: &str = "address already in use";

/// In the words of Go's standard library, which Docker's users know.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => IN_USE.into(),
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// Binds a socket nobody else can share.
fn hold(protocol: Protocol, at: SocketAddrV4) -> io::Result<OwnedFd> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
    };
    let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, Some(number))?;
    if protocol == Protocol::Tcp {
        // Connections of an earlier server that linger in TIME_WAIT are no
        // reason to refuse; once bound, nobody may sit beside us.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &at)?;
        sockopt::set_socket_reuseaddr(&socket, false)?;
    } else {
        bind(&socket, &at)?;
        // Nothing is ever read from it.
        match sockopt::set_socket_recv_buffer_size(&socket, 0) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(socket)
}

/// The kernel's range of ephemeral ports in the calling thread's namespace.
fn ephemeral_range() -> (u16, u16) {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    text.ok().and_then(|t| parse_range(&t)).unwrap_or(DEFAULT_RANGE)
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut words = text.split_whitespace();
    let first = words.next()?.parse().ok()?;
    let last = words.next()?.parse().ok()?;
    (first > 0 && first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use shoal_sys::netns;

    use super::*;

    const TO: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);

    fn ask(host_port: HostPort) -> PortRequest {
        PortRequest { container_port: 80, protocol: Protocol::Tcp, host_ip: None, host_port }
    }

    /// In a namespace of its own, so that every port is free.
    fn alone(test: impl FnOnce(Arc<PortTable>) + Send) {
        let inside = |_: std::os::fd::BorrowedFd<'_>| {
            let mut links = crate::link::socket::LinkSocket::open().unwrap();
            links.ensure(&[crate::link::change::Change::Up { link: "lo".into() }]).unwrap();
            test(Arc::default());
        };
        netns::create_with(inside).unwrap();
    }

    fn reserve(table: &Arc<PortTable>, port: HostPort) -> Result<Reservation, PortError> {
        table.reserve(&ask(port), Ipv4Addr::UNSPECIFIED, TO)
    }

    #[test]
    fn another_container_has_it() {
        alone(|table| {
            let held = reserve(&table, HostPort::Fixed(8003)).unwrap();
            let error = reserve(&table, HostPort::Fixed(8003)).unwrap_err();
            let text = "Bind for 0.0.0.0:8003 failed: port is already allocated";
            assert_eq!(error.to_string(), text);
            let mut specific = ask(HostPort::Fixed(8003));
            specific.host_ip = Some("127.0.0.1".parse().unwrap());
            table.reserve(&specific, Ipv4Addr::UNSPECIFIED, TO).unwrap_err();
            let mut udp = ask(HostPort::Fixed(8003));
            udp.protocol = Protocol::Udp;
            table.reserve(&udp, Ipv4Addr::UNSPECIFIED, TO).unwrap();
            drop(held);
            reserve(&table, HostPort::Fixed(8003)).unwrap();
        });
    }

    #[test]
    fn another_program_has_it() {
        alone(|table| {
            let _foreign = TcpListener::bind("127.0.0.1:8003").unwrap();
            let error = reserve(&table, HostPort::Fixed(8003)).unwrap_err();
            assert_eq!(
                error.to_string(),
                "failed to bind host port for 0.0.0.0:8003:172.17.0.2:80/tcp: \
                 address already in use"
            );
            let _held = reserve(&table, HostPort::Fixed(8004)).unwrap();
            TcpListener::bind("127.0.0.1:8004").unwrap_err();
        });
    }

    #[test]
    fn lingering_connections_do_not_hold_a_port() {
        alone(|table| {
            let server = TcpListener::bind("127.0.0.1:8003").unwrap();
            let client = std::net::TcpStream::connect("127.0.0.1:8003").unwrap();
            // The side that closes first lingers.
            drop(server.accept().unwrap());
            drop(client);
            drop(server);
            reserve(&table, HostPort::Fixed(8003)).unwrap();
        });
    }

    #[test]
    fn ephemeral_ports_and_ranges() {
        alone(|table| {
            let range = ephemeral_range();
            let first = reserve(&table, HostPort::Any).unwrap();
            let second = reserve(&table, HostPort::Any).unwrap();
            assert_eq!(first.bound.host_port, range.0);
            assert_eq!(second.bound.host_port, range.0 + 1);
            let _foreign = TcpListener::bind("0.0.0.0:8000").unwrap();
            let in_range = reserve(&table, HostPort::Range(8000, 8001)).unwrap();
            assert_eq!(in_range.bound.host_port, 8001);
            let error = reserve(&table, HostPort::Range(8000, 8001)).unwrap_err();
            assert_eq!(error.to_string(), "all ports are allocated");
        });
    }

    #[test]
    fn what_cannot_be_published() {
        let mut request = ask(HostPort::Any);
        request.host_ip = Some("::1".parse().unwrap());
        let error = check(&request).unwrap_err().to_string();
        assert_eq!(error, "publishing a port on IPv6 address ::1 is not supported");
        check(&ask(HostPort::Range(9, 8))).unwrap_err();
        assert_eq!(parse_range("32768\t60999\n"), Some((32768, 60999)));
        assert_eq!(parse_range("0 1"), None);
    }
}
