//! Everything that can go wrong, in Docker's words where Docker has them.

use std::{io, net::Ipv4Addr};

use shoal_model::{Classify, Kind};

use crate::request::Protocol;

/// A network operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No network has this name or id.
    #[error("network {0} not found")]
    NotFound(String),
    /// Several ids begin so.
    #[error("network {name} is ambiguous ({matches} matches found based on ID prefix)")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many fit.
        matches: usize,
    },
    /// The name is taken.
    #[error("network with name {0} already exists")]
    NameTaken(String),
    /// `bridge`, `host` or `none` cannot be made.
    #[error("operation is not permitted on predefined {0} network")]
    PredefinedName(String),
    /// `bridge`, `host` or `none` cannot be removed.
    #[error("{0} is a pre-defined network and cannot be removed")]
    PredefinedRemove(String),
    /// A second `host` or `null` network.
    #[error("only one instance of \"{0}\" network is allowed")]
    OnlyOne(&'static str),
    /// Containers are in it.
    #[error("error while removing network: network {network} has active endpoints ({endpoints})")]
    ActiveEndpoints {
        /// Its name.
        network: String,
        /// `name:"web" id:"0123456789ab"`, joined by commas.
        endpoints: String,
    },
    /// The request is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something clashes with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The request is right and never allowed.
    #[error("{0}")]
    Forbidden(String),
    /// Understood, not built.
    #[error("{0} is not supported")]
    NotImplemented(String),
    /// Another network uses these addresses.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap,
    /// No default pool is free.
    #[error("all predefined address pools have been fully subnetted")]
    PoolsExhausted,
    /// Every address of the network is in use.
    #[error("no available IPv4 addresses on this network's address pools: {name} ({id})")]
    AddressesExhausted {
        /// The network's name.
        name: String,
        /// Its id.
        id: String,
    },
    /// The wanted address is in use.
    #[error("Address already in use")]
    AddressInUse(Ipv4Addr),
    /// A bridge has no port left.
    #[error("network {0} is full: a bridge holds 1023 ports")]
    BridgeFull(String),
    /// A port of the host cannot be had for a container.
    #[error(
        "driver failed programming external connectivity on endpoint {endpoint} ({endpoint_id})"
    )]
    Publish {
        /// The container's name.
        endpoint: String,
        /// The endpoint's id.
        endpoint_id: String,
        /// Why.
        #[source]
        cause: PortError,
    },
    /// The container has no sandbox.
    #[error("container {0} has no network sandbox")]
    NoSandbox(String),
    /// The container is not in the network.
    #[error("container {container} is not connected to network {network}")]
    NotConnected {
        /// The container.
        container: String,
        /// The network.
        network: String,
    },
    /// The kernel or a file refused.
    #[error("{doing}")]
    System {
        /// What was being done, to what.
        doing: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// `nft` refused.
    #[error("nft failed while {doing}: {stderr}")]
    Firewall {
        /// What was being done.
        doing: String,
        /// What the program said.
        stderr: String,
    },
    /// A stored network cannot be read.
    #[error("read stored networks from {path}")]
    Stored {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// Why a port of the host cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// Another container has it.
    #[error("Bind for {host_ip}:{port} failed: port is already allocated")]
    Allocated {
        /// Address of the host.
        host_ip: Ipv4Addr,
        /// Port of the host.
        port: u16,
    },
    /// None of the range is free.
    #[error("all ports are allocated")]
    AllAllocated,
    /// The host's kernel says no: mostly another program has it.
    #[error("failed to bind host port for {host_ip}:{port}:{container_ip}:{container_port}/{}: {reason}", protocol.as_str())]
    Bind {
        /// Address of the host.
        host_ip: Ipv4Addr,
        /// Port of the host.
        port: u16,
        /// Address of the container.
        container_ip: Ipv4Addr,
        /// Port of the container.
        container_port: u16,
        /// Transport.
        protocol: Protocol,
        /// `address already in use`.
        reason: String,
    },
}

impl NetworkError {
    /// An error of the kernel or a file while `doing` something.
    pub(crate) fn system(doing: impl Into<String>, source: io::Error) -> Self {
        Self::System { doing: doing.into(), source }
    }
}

impl Classify for NetworkError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound(_) => Kind::NotFound,
            Self::Invalid(_) | Self::Ambiguous { .. } | Self::PoolsExhausted => Kind::Invalid,
            // dockerd answers a port in use with 500; it is the caller's clash, not our failure.
            Self::NameTaken(_) | Self::Conflict(_) | Self::Publish { .. } => Kind::Conflict,
            Self::PredefinedName(_)
            | Self::PredefinedRemove(_)
            | Self::OnlyOne(_)
            | Self::ActiveEndpoints { .. }
            | Self::Forbidden(_)
            | Self::NotConnected { .. }
            | Self::Overlap => Kind::Forbidden,
            Self::NotImplemented(_) => Kind::NotImplemented,
            Self::AddressesExhausted { .. } | Self::BridgeFull(_) => Kind::Unavailable,
            Self::AddressInUse(_) => Kind::Forbidden,
            Self::NoSandbox(_) => Kind::Conflict,
            Self::System { .. } | Self::Firewall { .. } | Self::Stored { .. } => Kind::Internal,
        }
    }
}
