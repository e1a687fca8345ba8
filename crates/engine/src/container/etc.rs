//! The three files the engine writes for a container: `resolv.conf`, `hosts`, `hostname`.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use shoal_network::{
    DnsOptions, ExtraHost, HostAddress, Networks, ResolverMode, SandboxState, hosts, own_line,
    resolv_conf,
};

use super::check::read_extra_host;
use super::record::Record;
use crate::domain::HostConfig;
use crate::spec::EtcFiles;

/// Where the three files of a container are.
pub(crate) fn files(dir: &Path) -> EtcFiles {
    EtcFiles {
        resolv_conf: dir.join("resolv.conf"),
        hostname: dir.join("hostname"),
        hosts: dir.join("hosts"),
    }
}

/// Writes the three files. Blocks.
pub(crate) fn write(
    dir: &Path,
    record: &Record,
    networks: &Networks,
    sandbox: &SandboxState,
) -> io::Result<()> {
    let files = files(dir);
    let hostname = record.config.hostname.clone().unwrap_or_default();
    fs::write(files.resolv_conf, resolv_conf_text(record, networks, sandbox))?;
    fs::write(files.hosts, hosts_text(record, &hostname, networks, sandbox))?;
    fs::write(files.hostname, format!("{hostname}\n"))
}

/// Follows a running container into one more network. The files are written in place: they are
/// mounted, and what the container wrote there stays. Blocks.
pub(crate) fn join(
    dir: &Path,
    record: &Record,
    networks: &Networks,
    sandbox: &SandboxState,
    joined: Joined,
) -> io::Result<()> {
    let files = files(dir);
    if joined.names_are_served_now {
        fs::write(&files.resolv_conf, resolv_conf_text(record, networks, sandbox))?;
    }
    let text = fs::read_to_string(&files.hosts)?;
    let line = own_hosts_line(record, joined.address);
    if text.split_inclusive('\n').any(|other| other == line) {
        return Ok(());
    }
    fs::write(&files.hosts, with_line(text, &line))
}

/// Follows a running container out of a network. Blocks.
pub(crate) fn leave(dir: &Path, record: &Record, address: Ipv4Addr) -> io::Result<()> {
    let hosts = files(dir).hosts;
    let text = fs::read_to_string(&hosts)?;
    let line = own_hosts_line(record, address);
    let left: String = text.split_inclusive('\n').filter(|other| *other != line).collect();
    if left == text { Ok(()) } else { fs::write(&hosts, left) }
}

/// What a container has since it is in one more network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joined {
    /// Its address there.
    pub(crate) address: Ipv4Addr,
    /// Whether names are answered inside only since.
    pub(crate) names_are_served_now: bool,
}

fn own_hosts_line(record: &Record, address: Ipv4Addr) -> String {
    let hostname = record.config.hostname.as_deref().unwrap_or_default();
    own_line(hostname, &record.config.domainname, address)
}

fn with_line(mut text: String, line: &str) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text
}

fn resolv_conf_text(record: &Record, networks: &Networks, sandbox: &SandboxState) -> String {
    let mode = match (sandbox.host, sandbox.embedded_dns) {
        (true, _) => ResolverMode::Host,
        (false, true) => ResolverMode::Embedded,
        (false, false) => ResolverMode::Bridge,
    };
    resolv_conf(&networks.host_resolver(), &dns_options(&record.host), mode)
}

fn hosts_text(
    record: &Record,
    hostname: &str,
    networks: &Networks,
    sandbox: &SandboxState,
) -> String {
    let gateway = networks.host_gateway();
    let extra: Vec<ExtraHost> = record
        .host
        .extra_hosts
        .iter()
        .filter_map(|entry| read_extra_host(entry))
        .map(|(name, address)| ExtraHost {
            name: name.into(),
            address: address.map_or(HostAddress::Gateway, HostAddress::Ip),
        })
        .collect();
    let addresses: Vec<Ipv4Addr> = sandbox.endpoints.iter().map(|endpoint| endpoint.ipv4).collect();
    if sandbox.host
        && let Ok(own) = fs::read_to_string("/etc/hosts")
    {
        return with_extra(own, &extra, gateway);
    }
    hosts(hostname, &record.config.domainname, &addresses, &extra, gateway)
}

/// The node's own file, and what the container adds.
fn with_extra(text: String, extra: &[ExtraHost], gateway: Ipv4Addr) -> String {
    extra.iter().fold(text, |text, ExtraHost { name, address }| match address {
        HostAddress::Ip(address) => with_line(text, &format!("{address}\t{name}\n")),
        HostAddress::Gateway => with_line(text, &format!("{gateway}\t{name}\n")),
    })
}

/// The resolver's settings of a container.
pub(crate) fn dns_options(host: &HostConfig) -> DnsOptions {
    DnsOptions {
        // Addresses were checked at create.
        servers: host.dns.iter().filter_map(|server| server.parse().ok()).collect(),
        search: host.dns_search.clone(),
        options: host.dns_options.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_hosts_get_the_containers_extra_names() {
        let extra = [
            ExtraHost { name: "db".into(), address: HostAddress::Ip([10, 0, 0, 1].into()) },
            ExtraHost { name: "up".into(), address: HostAddress::Gateway },
        ];
        let text = with_extra("127.0.0.1 localhost".into(), &extra, [172, 17, 0, 1].into());
        assert_eq!(text, "127.0.0.1 localhost\n10.0.0.1\tdb\n172.17.0.1\tup\n");
    }
}
