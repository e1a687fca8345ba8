//! Kernel settings of the network namespace the calling thread is in.

use std::{fs, io, path::PathBuf};

use crate::{NetworkError, Result};

/// Whether the node forwards packets.
const FORWARDING: &str = "ipv4/ip_forward";

/// Whether the node forwards packets.
pub(crate) fn forwards() -> Result<bool> {
    let text = fs::read_to_string(path(FORWARDING))
        .map_err(|e| NetworkError::system("read net.ipv4.ip_forward", e))?;
    Ok(text.trim() == "1")
}

/// Lets the node forward packets.
pub(crate) fn enable_forwarding() -> Result<()> {
    if forwards()? {
        return Ok(());
    }
    write(FORWARDING, "1").map_err(|e| NetworkError::system("set net.ipv4.ip_forward", e))
}

/// Lets answers to 127.0.0.1 come in through a bridge: what was published
/// there is sent on under the bridge's own address.
pub(crate) fn route_localnet(link: &str) -> Result<()> {
    write(&format!("ipv4/conf/{link}/route_localnet"), "1")
        .map_err(|e| NetworkError::system(format!("set route_localnet of {link}"), e))
}

/// Whether frames between ports of a bridge pass the firewall (br_netfilter,
/// which other container engines turn on).
pub(crate) fn bridges_are_filtered() -> bool {
    fs::read_to_string(path("bridge/bridge-nf-call-iptables")).is_ok_and(|text| text.trim() == "1")
}

/// Turns IPv6 off for links that come later; a kernel without IPv6 is fine.
pub(crate) fn disable_ipv6_for_new_links() -> io::Result<()> {
    off_if_there("default")
}

/// Turns IPv6 off on a link; a kernel without IPv6 is fine.
pub(crate) fn disable_ipv6(link: &str) -> io::Result<()> {
    off_if_there(link)
}

fn off_if_there(link: &str) -> io::Result<()> {
    match write(&format!("ipv6/conf/{link}/disable_ipv6"), "1") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write(name: &str, value: &str) -> io::Result<()> {
    fs::write(path(name), value)
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(name)
}
