//! Which addresses a node listens on and tells the others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressScope};
use rtnetlink::packet_route::link::LinkAttribute;

use crate::config::{DEFAULT_CLUSTER_PORT, DEFAULT_LISTEN_ADDR};
use crate::error::NodeError;

/// An address reserved for documentation: routing to it says which of our addresses faces the
/// world; nothing is ever sent.
const SOMEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// An address of an interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Local {
    interface: String,
    addr: IpAddr,
}

/// Where to listen. The text may be empty, an address or an interface's name, with or without a
/// port.
pub(crate) async fn listen(text: &str) -> Result<SocketAddr, NodeError> {
    let text = if text.is_empty() { DEFAULT_LISTEN_ADDR } else { text };
    let (host, port) = split(text, "listen address")?;
    let addr = host_addr(host, text, "listen address").await?;
    Ok(SocketAddr::new(addr, port.unwrap_or(DEFAULT_CLUSTER_PORT)))
}

/// What to tell the others: `host:port`.
pub(crate) async fn advertise(text: &str, listen: SocketAddr) -> Result<SocketAddr, NodeError> {
    if !text.is_empty() {
        let (host, port) = split(text, "advertise address")?;
        let addr = host_addr(host, text, "advertise address").await?;
        if addr.is_unspecified() {
            return Err(NodeError::Invalid(
                "advertise address must be a non-zero IP address or network interface (with optional port number)"
                    .to_owned(),
            ));
        }
        return Ok(SocketAddr::new(addr, port.unwrap_or(listen.port())));
    }
    let addr = match listen.ip() {
        addr if addr.is_unspecified() => detect().await?,
        addr => addr,
    };
    Ok(SocketAddr::new(addr, listen.port()))
}

/// A manager's address with the cluster port if it names none.
pub(crate) fn remote(text: &str) -> Result<String, NodeError> {
    let (host, port) = split(text, "remote address")?;
    let port = port.unwrap_or(DEFAULT_CLUSTER_PORT);
    Ok(match host.parse::<IpAddr>() {
        Ok(addr) => SocketAddr::new(addr, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    })
}

/// Host and port of `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
fn split<'a>(text: &'a str, what: &'static str) -> Result<(&'a str, Option<u16>), NodeError> {
    let invalid =
        |why: &str| NodeError::Address { what, text: text.to_owned(), why: why.to_owned() };
    let bare_v6 = text.matches(':').count() > 1 && !text.starts_with('[');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !bare_v6 && !text.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| invalid("the port is not a number"))?;
            (host, Some(port))
        }
        _ => (text, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.is_empty() {
        true => Err(invalid("the host is missing")),
        false => Ok((host, port)),
    }
}

/// An address as it stands, or the one address of an interface with this name.
async fn host_addr(host: &str, text: &str, what: &'static str) -> Result<IpAddr, NodeError> {
    if let Ok(addr) = host.parse() {
        return Ok(addr);
    }
    let invalid = |why: String| NodeError::Address { what, text: text.to_owned(), why };
    let all = locals().await.map_err(|error| invalid(error.to_string()))?;
    let found: Vec<IpAddr> =
        all.iter().filter(|local| local.interface == host).map(|local| local.addr).collect();
    // An interface usually has an IPv6 address besides; IPv4 is what was meant.
    let v4: Vec<IpAddr> = found.iter().filter(|addr| addr.is_ipv4()).copied().collect();
    match (v4.as_slice(), found.as_slice()) {
        ([one], _) | ([], [one]) => Ok(*one),
        ([], []) => {
            Err(invalid(format!("{host} is neither an IP address nor an interface with one")))
        }
        _ => Err(invalid(format!("interface {host} has more than one address"))),
    }
}

/// The address that faces the world; without a default route the only one there is.
async fn detect() -> Result<IpAddr, NodeError> {
    if let Some(addr) = facing_the_world() {
        return Ok(addr);
    }
    let all = locals().await.unwrap_or_default();
    let v4: Vec<&Local> = all.iter().filter(|local| local.addr.is_ipv4()).collect();
    match v4.as_slice() {
        [] => Err(NodeError::NoAddress),
        [one] => Ok(one.addr),
        many => {
            let list = many.iter().map(|local| format!("{} on {}", local.addr, local.interface));
            Err(NodeError::ManyAddresses(list.collect::<Vec<_>>().join(" and ")))
        }
    }
}

fn facing_the_world() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SOMEWHERE).ok()?;
    let addr = socket.local_addr().ok()?.ip();
    (!addr.is_loopback() && !addr.is_unspecified()).then_some(addr)
}

/// The addresses of this machine that others could use.
async fn locals() -> std::io::Result<Vec<Local>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let talk = async {
        let mut names = std::collections::HashMap::new();
        let mut links = handle.link().get().execute();
        while let Some(link) = links.try_next().await.map_err(std::io::Error::other)? {
            for attribute in link.attributes {
                if let LinkAttribute::IfName(name) = attribute {
                    names.insert(link.header.index, name);
                }
            }
        }
        let mut found = Vec::new();
        let mut addrs = handle.address().get().execute();
        while let Some(message) = addrs.try_next().await.map_err(std::io::Error::other)? {
            if message.header.scope != AddressScope::Universe {
                continue;
            }
            let Some(interface) = names.get(&message.header.index) else { continue };
            for attribute in message.attributes {
                if let AddressAttribute::Address(addr) = attribute {
                    found.push(Local { interface: interface.clone(), addr });
                }
            }
        }
        Ok(found)
    };
    tokio::select! {
        found = talk => found,
        () = connection => Err(std::io::Error::other("netlink ended")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let parts = |text| split(text, "x").ok();
        assert_eq!(parts("10.0.0.1"), Some(("10.0.0.1", None)));
        assert_eq!(parts("10.0.0.1:99"), Some(("10.0.0.1", Some(99))));
        assert_eq!(parts("eth0:99"), Some(("eth0", Some(99))));
        assert_eq!(parts("[fd00::1]:99"), Some(("fd00::1", Some(99))));
        assert_eq!(parts("[fd00::1]"), Some(("fd00::1", None)));
        assert_eq!(parts("fd00::1"), Some(("fd00::1", None)));
        assert_eq!(parts(":99"), None);
        assert_eq!(parts("host:port"), None);
        assert_eq!(parts(""), None);
    }

    #[test]
    fn a_manager_without_port_has_the_cluster_port() {
        assert_eq!(remote("10.0.0.1").unwrap(), "10.0.0.1:2377");
        assert_eq!(remote("manager.example:99").unwrap(), "manager.example:99");
        assert_eq!(remote("fd00::1").unwrap(), "[fd00::1]:2377");
    }

    #[tokio::test]
    async fn listening_and_advertising() {
        assert_eq!(listen("").await.unwrap().to_string(), "0.0.0.0:2377");
        assert_eq!(listen("127.0.0.1:7").await.unwrap().to_string(), "127.0.0.1:7");
        let listening: SocketAddr = "127.0.0.1:7".parse().unwrap();
        assert_eq!(advertise("", listening).await.unwrap(), listening);
        assert_eq!(advertise("10.1.1.1", listening).await.unwrap().to_string(), "10.1.1.1:7");
        assert!(advertise("0.0.0.0", listening).await.is_err());
        let error = listen("no-such-interface").await.unwrap_err().to_string();
        assert!(error.contains("no-such-interface"), "{error}");
    }
}
