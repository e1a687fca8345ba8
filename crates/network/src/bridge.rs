//! What the bridge driver makes of a network: the options checked and the
//! names settled. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    NetworkConfig, NetworkError, Result,
    link::name::{self, BRIDGE_NAME_OPTION},
    spec::Network,
    subnet::Subnet,
};

/// A bridge and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bridge {
    /// Name of its link.
    pub(crate) link: String,
    /// Addresses behind it.
    pub(crate) subnet: Subnet,
    /// Its own address.
    pub(crate) gateway: Ipv4Addr,
    /// No way out, no way in.
    pub(crate) internal: bool,
    /// Whether containers may talk to each other.
    pub(crate) icc: bool,
    /// Whether packets leave under the node's address.
    pub(crate) masquerade: bool,
    /// Largest packet.
    pub(crate) mtu_bytes: u32,
    /// Where ports are published that name no address.
    pub(crate) host_binding: Ipv4Addr,
}

const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const MTU: &str = "com.docker.network.driver.mtu";
/// Says which network is Docker's default one; shown, never acted upon.
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";

/// Smallest packet IPv4 allows, and the largest there is.
const MTU_RANGE_BYTES: std::ops::RangeInclusive<u32> = 68..=65_535;

impl Bridge {
    /// The bridge of `network`; `None` for other drivers.
    ///
    /// # Errors
    /// An option that is unknown or has a value it cannot have.
    pub(crate) fn of(network: &Network, config: &NetworkConfig) -> Result<Option<Self>> {
        let (crate::Driver::Bridge, Some(pool)) = (network.driver, network.ipam.pools.first())
        else {
            return Ok(None);
        };
        check_known(&network.options)?;
        let link = name::bridge(network, &config.bridge_prefix);
        if !name::is_valid(&link) {
            return Err(NetworkError::Invalid(format!("invalid bridge name {link:?}")));
        }
        Ok(Some(Self {
            link,
            subnet: pool.subnet,
            gateway: pool.gateway,
            internal: network.internal,
            icc: boolean(&network.options, ICC)?,
            masquerade: boolean(&network.options, MASQUERADE)? && !network.internal,
            mtu_bytes: mtu(&network.options, config.mtu_bytes)?,
            host_binding: host_binding(&network.options)?,
        }))
    }

    /// The options Docker shows on its default bridge.
    pub(crate) fn default_options(config: &NetworkConfig) -> BTreeMap<String, String> {
        let mtu = config.mtu_bytes.to_string();
        [
            (DEFAULT_BRIDGE, "true"),
            (ICC, "true"),
            (MASQUERADE, "true"),
            (HOST_BINDING, "0.0.0.0"),
            (BRIDGE_NAME_OPTION, &config.default_bridge),
            (MTU, &mtu),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }
}

fn check_known(options: &BTreeMap<String, String>) -> Result<()> {
    let known = [ICC, MASQUERADE, HOST_BINDING, MTU, DEFAULT_BRIDGE, BRIDGE_NAME_OPTION];
    match options.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(NetworkError::NotImplemented(format!("network driver option {key}"))),
        None => Ok(()),
    }
}

/// A switch that is on unless it is said to be off; values as Go's ParseBool.
fn boolean(options: &BTreeMap<String, String>, key: &str) -> Result<bool> {
    match options.get(key).map(String::as_str) {
        None | Some("" | "1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(value) => Err(invalid(key, value)),
    }
}

fn mtu(options: &BTreeMap<String, String>, default: u32) -> Result<u32> {
    let Some(value) = options.get(MTU).filter(|v| !v.is_empty()) else { return Ok(default) };
    let bytes: Option<u32> = value.parse().ok();
    bytes.filter(|b| MTU_RANGE_BYTES.contains(b)).ok_or_else(|| invalid(MTU, value))
}

fn host_binding(options: &BTreeMap<String, String>) -> Result<Ipv4Addr> {
    let Some(value) = options.get(HOST_BINDING).filter(|v| !v.is_empty()) else {
        return Ok(Ipv4Addr::UNSPECIFIED);
    };
    match value.parse() {
        Ok(IpAddr::V4(address)) => Ok(address),
        _ => Err(invalid(HOST_BINDING, value)),
    }
}

fn invalid(key: &str, value: &str) -> NetworkError {
    NetworkError::Invalid(format!("invalid value {value:?} of network driver option {key}"))
}
