//! Contents of a container's /etc/resolv.conf and /etc/hosts. Pure: the engine
//! writes the files.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Where the embedded resolver listens inside a container.
pub(crate) const EMBEDDED_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Resolvers for containers of a host that has none but loopback ones
/// (Docker's choice, too).
const FALLBACK_SERVERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];

/// `--dns`, `--dns-search`, `--dns-option`. Empty lists take the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsOptions {
    /// Resolvers.
    pub servers: Vec<IpAddr>,
    /// Search domains; a single `.` means none.
    pub search: Vec<String>,
    /// Options, as `ndots:2`.
    pub options: Vec<String>,
}

/// What the host's own resolv.conf says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostResolver {
    /// `nameserver` lines.
    pub servers: Vec<IpAddr>,
    /// The last `search` or `domain` line.
    pub search: Vec<String>,
    /// `options` lines.
    pub options: Vec<String>,
}

/// How a container gets its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolverMode {
    /// Host network: the host's own file, loopback resolvers included.
    Host,
    /// Default bridge: the host's resolvers, loopback ones dropped.
    Bridge,
    /// User-made networks: the embedded resolver.
    Embedded,
}

impl HostResolver {
    /// Reads the text of a resolv.conf; lines it does not know are skipped, as
    /// the C library does.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword {
                "nameserver" => found.servers.extend(words.next().and_then(server)),
                "search" | "domain" => found.search = words.map(str::to_owned).collect(),
                "options" => found.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        found
    }

    /// The resolvers that can be reached from another network namespace.
    pub(crate) fn reachable(&self) -> Vec<IpAddr> {
        self.servers.iter().copied().filter(|s| !s.is_loopback()).collect()
    }
}

/// An address, a scope behind `%` left out.
fn server(word: &str) -> Option<IpAddr> {
    word.split('%').next().and_then(|a| a.parse().ok())
}

/// The text of a container's /etc/resolv.conf.
pub fn resolv_conf(host: &HostResolver, dns: &DnsOptions, mode: ResolverMode) -> String {
    let mut text = String::new();
    for server in servers(host, dns, mode) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    let search = if dns.search.is_empty() { &host.search } else { &dns.search };
    let search: Vec<_> = search.iter().map(String::as_str).filter(|d| *d != ".").collect();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    let options = options(host, dns, mode);
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

fn servers(host: &HostResolver, dns: &DnsOptions, mode: ResolverMode) -> Vec<IpAddr> {
    match mode {
        ResolverMode::Embedded => vec![EMBEDDED_ADDRESS.into()],
        _ if !dns.servers.is_empty() => dns.servers.clone(),
        ResolverMode::Host => host.servers.clone(),
        ResolverMode::Bridge => {
            let reachable = host.reachable();
            if reachable.is_empty() { FALLBACK_SERVERS.to_vec() } else { reachable }
        }
    }
}

fn options(host: &HostResolver, dns: &DnsOptions, mode: ResolverMode) -> Vec<String> {
    let mut options = if dns.options.is_empty() { &host.options } else { &dns.options }.clone();
    // One label is enough for a name here: without this, names with a dot
    // would go through the search list first.
    let chosen = dns.options.iter().any(|o| o.starts_with("ndots:"));
    if mode == ResolverMode::Embedded && !chosen {
        options.retain(|o| !o.starts_with("ndots:"));
        options.push("ndots:0".into());
    }
    options
}

/// An `--add-host` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHost {
    /// Name.
    pub name: String,
    /// Where it is.
    pub address: HostAddress,
}

/// Address of an [`ExtraHost`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostAddress {
    /// This address.
    Ip(IpAddr),
    /// `host-gateway`: the host as seen from the default bridge.
    Gateway,
}

/// The text of a container's /etc/hosts: loopback names, `extra`, then each of
/// `addresses` with the container's own names.
pub fn hosts(
    hostname: &str,
    domainname: &str,
    addresses: &[Ipv4Addr],
    extra: &[ExtraHost],
    host_gateway: Ipv4Addr,
) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for ExtraHost { name, address } in extra {
        let address = match address {
            HostAddress::Ip(ip) => *ip,
            HostAddress::Gateway => host_gateway.into(),
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    for address in addresses.iter().filter(|a| !a.is_unspecified()) {
        text.push_str(&own_line(hostname, domainname, *address));
    }
    text
}

/// The line of a container's /etc/hosts with its own names, line end included: the whole one, and
/// what is before its first dot.
pub fn own_line(hostname: &str, domainname: &str, address: Ipv4Addr) -> String {
    let whole = match domainname {
        "" => hostname.to_owned(),
        domain => format!("{hostname}.{domain}"),
    };
    match whole.split_once('.') {
        Some((short, _)) if !short.is_empty() => format!("{address}\t{whole} {short}\n"),
        _ => format!("{address}\t{whole}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostResolver {
        HostResolver::parse(
            "# comment\nnameserver 127.0.0.53\nnameserver 10.0.0.1 ; mine\nnameserver fe80::1%eth0\n\
             search a.example b.example\noptions edns0 trust-ad ndots:3\nsortlist x\n",
        )
    }

    #[test]
    fn the_default_bridge_drops_loopback_resolvers() {
        assert_eq!(
            resolv_conf(&host(), &DnsOptions::default(), ResolverMode::Bridge),
            "nameserver 10.0.0.1\nnameserver fe80::1\nsearch a.example b.example\n\
             options edns0 trust-ad ndots:3\n"
        );
        let lonely = HostResolver::parse("nameserver 127.0.0.1");
        assert_eq!(
            resolv_conf(&lonely, &DnsOptions::default(), ResolverMode::Bridge),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
        );
    }

    #[test]
    fn user_networks_ask_the_embedded_resolver() {
        assert_eq!(
            resolv_conf(&host(), &DnsOptions::default(), ResolverMode::Embedded),
            "nameserver 127.0.0.11\nsearch a.example b.example\noptions edns0 trust-ad ndots:0\n"
        );
    }

    #[test]
    fn the_users_choice_wins() {
        let dns = DnsOptions {
            servers: vec!["1.1.1.1".parse().unwrap()],
            search: vec![".".into()],
            options: vec!["ndots:2".into()],
        };
        assert_eq!(
            resolv_conf(&host(), &dns, ResolverMode::Bridge),
            "nameserver 1.1.1.1\noptions ndots:2\n"
        );
        assert_eq!(
            resolv_conf(&host(), &dns, ResolverMode::Embedded),
            "nameserver 127.0.0.11\noptions ndots:2\n"
        );
    }

    #[test]
    fn hosts_lists_extra_names_before_the_containers_own() {
        let extra = [
            ExtraHost { name: "db".into(), address: HostAddress::Ip("10.9.9.9".parse().unwrap()) },
            ExtraHost { name: "up".into(), address: HostAddress::Gateway },
        ];
        let text = hosts(
            "web",
            "example.org",
            &[Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(172, 18, 0, 2)],
            &extra,
            Ipv4Addr::new(172, 17, 0, 1),
        );
        let tail: Vec<_> = text.lines().skip(6).collect();
        assert_eq!(tail, ["10.9.9.9\tdb", "172.17.0.1\tup", "172.18.0.2\tweb.example.org web"]);
    }

    #[test]
    fn the_short_name_is_what_is_before_the_first_dot() {
        let line = |hostname, domainname| own_line(hostname, domainname, [10, 0, 0, 2].into());
        assert_eq!(line("web", ""), "10.0.0.2\tweb\n");
        assert_eq!(line("a.b.c", ""), "10.0.0.2\ta.b.c a\n");
        assert_eq!(line("a.b", "c"), "10.0.0.2\ta.b.c a\n");
    }
}
