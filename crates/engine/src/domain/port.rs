//! Ports: of a container, of the host, and the text forms clients use.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shoal_model::{Classify, Kind};

/// Text that names no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not a container port.
    #[error("invalid port specification: \"{0}\"")]
    Container(String),
    /// Not a host port or a range of them.
    #[error("invalid hostPort: {0}")]
    Host(String),
}

impl Classify for PortError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// Transport protocol of a port.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// A port inside a container, written `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Port number, never 0.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl FromStr for Port {
    type Err = PortError;
    /// Reads `80`, `80/tcp` or `80/UDP`.
    fn from_str(text: &str) -> Result<Self, PortError> {
        let wrong = || PortError::Container(text.into());
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(wrong()),
        };
        match number.parse() {
            Ok(0) | Err(_) => Err(wrong()),
            Ok(number) => Ok(Port { number, protocol }),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl Serialize for Port {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A host port, a range to choose from, or any free one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostPort {
    /// Any free port.
    #[default]
    Any,
    /// One of `first..=last`; one port where they are equal.
    Range {
        /// Lowest.
        first: u16,
        /// Highest.
        last: u16,
    },
}

impl FromStr for HostPort {
    type Err = PortError;
    /// Reads ``, `0`, `8080` or `8000-8010`.
    fn from_str(text: &str) -> Result<Self, PortError> {
        let wrong = || PortError::Host(text.into());
        if text.is_empty() || text == "0" {
            return Ok(HostPort::Any);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first: u16 = first.parse().map_err(|_| wrong())?;
        let last: u16 = last.parse().map_err(|_| wrong())?;
        if first == 0 || first > last { Err(wrong()) } else { Ok(HostPort::Range { first, last }) }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPort::Any => Ok(()),
            HostPort::Range { first, last } if first == last => write!(f, "{first}"),
            HostPort::Range { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

/// Where a container's port is to be published (`-p`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// Address to listen on; `None` is every address.
    pub host_ip: Option<IpAddr>,
    /// Port to listen on.
    pub host_port: HostPort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_what_they_write() {
        assert_eq!("80".parse::<Port>().unwrap().to_string(), "80/tcp");
        assert_eq!("53/udp".parse::<Port>().unwrap().to_string(), "53/udp");
        for text in ["", "0", "http", "80/icmp", "70000"] {
            assert!(text.parse::<Port>().is_err(), "{text} is no port");
        }
        let json = serde_json::to_string(&Port { number: 80, protocol: Protocol::Tcp }).unwrap();
        assert_eq!(json, "\"80/tcp\"");
        assert_eq!(serde_json::from_str::<Port>(&json).unwrap().number, 80);
    }

    #[test]
    fn host_ports_are_one_many_or_any() {
        assert_eq!("".parse(), Ok(HostPort::Any));
        assert_eq!("8080".parse(), Ok(HostPort::Range { first: 8080, last: 8080 }));
        assert_eq!("8000-8010".parse::<HostPort>().unwrap().to_string(), "8000-8010");
        assert!("9-8".parse::<HostPort>().is_err());
    }
}
