//! What the daemon is told: flags, then environment, then the file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use serde::Deserialize;
use shoal_network::{AddressPool, NetworkConfig, Subnet};

/// Where the file is unless told otherwise.
const DEFAULT_FILE: &str = "/etc/shoal/shoal.toml";

/// Run the daemon of this machine.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Every flag may stand in the configuration file under its own name:

  root = \"/srv/shoal\"
  insecure-registry = [\"10.0.0.0/8\", \"registry.local:5000\"]
  address-pool = [\"base=10.200.0.0/16,size=24\"]
  listen = [\"tcp://0.0.0.0:2376\"]
  tls-cert = \"/etc/shoal/server.pem\"
  tls-key = \"/etc/shoal/server-key.pem\"
  tls-ca = \"/etc/shoal/ca.pem\"

Examples:
  shoal serve
  shoal serve --root /srv/shoal --insecure-registry 10.0.0.5:8003
  shoal serve --log-level debug")]
pub(crate) struct Args {
    /// Configuration file [default: /etc/shoal/shoal.toml, if there is one]
    #[arg(long, env = "SHOAL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// What flags, environment and file may say.
#[derive(Debug, Default, ClapArgs, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where images, containers and volumes are kept [default: /var/lib/shoal]
    #[arg(long, env = "SHOAL_ROOT", value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// Where what does not outlive a reboot is kept [default: /run/shoal]
    #[arg(long, env = "SHOAL_RUN_DIR", value_name = "DIRECTORY")]
    run_dir: Option<PathBuf>,
    /// Unix socket of the API [default: RUN_DIR/shoal.sock]
    #[arg(long, env = "SHOAL_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Group that may use the socket [default: shoal, if there is one]
    #[arg(long, env = "SHOAL_GROUP", value_name = "NAME")]
    group: Option<String>,
    /// Also listen on TCP: tcp://address:port; needs all three TLS files unless it is loopback
    #[arg(long, env = "SHOAL_LISTEN", value_delimiter = ',', value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Certificate of the TCP ports
    #[arg(long, env = "SHOAL_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, env = "SHOAL_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Only clients with a certificate of this authority may use the TCP ports; without it the
    /// others encrypt, but let everybody in
    #[arg(long, env = "SHOAL_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Let anybody who reaches a TCP port command this machine as root
    #[arg(long, env = "SHOAL_INSECURE_TCP")]
    insecure_tcp: bool,
    /// Registry that is spoken to without TLS: host[:port] or a range of addresses
    #[arg(long, env = "SHOAL_INSECURE_REGISTRY", value_delimiter = ',', value_name = "REGISTRY")]
    insecure_registry: Vec<String>,
    /// Addresses for networks that name none: base=10.200.0.0/16,size=24
    #[arg(long, value_name = "POOL")]
    address_pool: Vec<String>,
    /// Name of the default bridge [default: shoal0]
    #[arg(long, env = "SHOAL_BRIDGE", value_name = "NAME")]
    bridge: Option<String>,
    /// Address and subnet of the default bridge (172.17.0.1/16)
    #[arg(long, env = "SHOAL_BRIDGE_ADDRESS", value_name = "ADDRESS/BITS")]
    bridge_address: Option<String>,
    /// Ready network namespaces to keep
    #[arg(long, env = "SHOAL_NAMESPACE_POOL", value_name = "NUMBER")]
    namespace_pool: Option<usize>,
    /// Parent of the containers' cgroups [default: shoal]
    #[arg(long, env = "SHOAL_CGROUP_PARENT", value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// The shim's program [default: beside this program, then /usr/local/lib/shoal, /usr/lib/shoal]
    #[arg(long, env = "SHOAL_SHIM", value_name = "FILE")]
    shim: Option<PathBuf>,
    /// Label of this daemon
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// error, warn, info, debug, trace, or a filter as RUST_LOG takes it [default: info]
    #[arg(long, env = "SHOAL_LOG", value_name = "LEVEL")]
    log_level: Option<String>,
}

/// What the daemon does, all of it decided.
#[derive(Debug)]
pub(super) struct Config {
    /// State directory.
    pub(super) root: PathBuf,
    /// Runtime state directory.
    pub(super) run_dir: PathBuf,
    /// Unix socket.
    pub(super) socket: PathBuf,
    /// Group of the socket; the flag says it must exist.
    pub(super) group: (String, bool),
    /// TCP addresses.
    pub(super) tcp: Vec<String>,
    /// How to speak TLS there.
    pub(super) tls: Option<TlsFiles>,
    /// Registries without TLS.
    pub(super) insecure_registries: Vec<String>,
    /// Networks.
    pub(super) network: NetworkConfig,
    /// Parent of cgroups.
    pub(super) cgroup_parent: String,
    /// The shim's program.
    pub(super) shim: PathBuf,
    /// Labels.
    pub(super) labels: Vec<String>,
    /// Log filter.
    pub(super) log_level: String,
}

/// Files of the TCP ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Certificate chain.
    pub(super) cert: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
    /// Authority of clients.
    pub(super) ca: Option<PathBuf>,
}

impl Config {
    /// Puts flags, environment and file together.
    ///
    /// # Errors
    /// A file that cannot be read, or settings that make no sense.
    pub(super) fn read(args: Args) -> Result<Self> {
        let Args { config, settings } = args;
        let file = match &config {
            Some(path) => read_file(path)?,
            None if Path::new(DEFAULT_FILE).exists() => read_file(Path::new(DEFAULT_FILE))?,
            None => Settings::default(),
        };
        settings.over(file).decide()
    }
}

fn read_file(path: &Path) -> Result<Settings> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

impl Settings {
    /// These settings, and those of the file where these say nothing.
    fn over(self, file: Self) -> Self {
        let list =
            |ours: Vec<String>, theirs: Vec<String>| if ours.is_empty() { theirs } else { ours };
        Self {
            root: self.root.or(file.root),
            run_dir: self.run_dir.or(file.run_dir),
            socket: self.socket.or(file.socket),
            group: self.group.or(file.group),
            listen: list(self.listen, file.listen),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            tls_ca: self.tls_ca.or(file.tls_ca),
            insecure_tcp: self.insecure_tcp || file.insecure_tcp,
            insecure_registry: list(self.insecure_registry, file.insecure_registry),
            address_pool: list(self.address_pool, file.address_pool),
            bridge: self.bridge.or(file.bridge),
            bridge_address: self.bridge_address.or(file.bridge_address),
            namespace_pool: self.namespace_pool.or(file.namespace_pool),
            cgroup_parent: self.cgroup_parent.or(file.cgroup_parent),
            shim: self.shim.or(file.shim),
            label: list(self.label, file.label),
            log_level: self.log_level.or(file.log_level),
        }
    }

    fn decide(self) -> Result<Config> {
        let network = self.network()?;
        let tls = self.tls()?;
        let tcp = self.listen.iter().map(|text| tcp_address(text)).collect::<Result<Vec<_>>>()?;
        let knows_clients = tls.as_ref().is_some_and(|tls| tls.ca.is_some());
        if !knows_clients && !self.insecure_tcp {
            refuse_open_ports(&tcp, tls.is_some())?;
        }
        let root = absolute(self.root.unwrap_or_else(|| "/var/lib/shoal".into()))?;
        let run_dir = absolute(self.run_dir.unwrap_or_else(|| "/run/shoal".into()))?;
        let socket = self.socket.unwrap_or_else(|| run_dir.join("shoal.sock"));
        let group = self.group.map_or_else(|| ("shoal".to_owned(), false), |name| (name, true));
        Ok(Config {
            root,
            run_dir,
            socket,
            group,
            tcp,
            tls,
            insecure_registries: self.insecure_registry,
            network,
            cgroup_parent: self.cgroup_parent.unwrap_or_else(|| "shoal".to_owned()),
            shim: self.shim.unwrap_or_else(find_shim),
            labels: self.label,
            log_level: self.log_level.unwrap_or_else(|| "info".to_owned()),
        })
    }

    fn network(&self) -> Result<NetworkConfig> {
        let mut network = NetworkConfig::default();
        if !self.address_pool.is_empty() {
            network.pools =
                self.address_pool.iter().map(|text| pool(text)).collect::<Result<_>>()?;
        }
        if let Some(name) = &self.bridge {
            network.default_bridge.clone_from(name);
        }
        if let Some(text) = &self.bridge_address {
            network.default_subnet = Some(bridge_address(text)?);
        }
        if let Some(size) = self.namespace_pool {
            network.pool_size = size;
        }
        Ok(network)
    }

    fn tls(&self) -> Result<Option<TlsFiles>> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => {
                Ok(Some(TlsFiles { cert: cert.clone(), key: key.clone(), ca: self.tls_ca.clone() }))
            }
            (None, None) if self.tls_ca.is_none() => Ok(None),
            _ => bail!("tls-cert and tls-key must be given together"),
        }
    }
}

/// The shim of this installation; the first place is also the one an error names.
fn find_shim() -> PathBuf {
    const NAME: &str = "shoal-shim";
    let beside = std::env::current_exe().unwrap_or_default().with_file_name(NAME);
    let installed =
        ["/usr/local/lib/shoal", "/usr/lib/shoal"].map(|place| Path::new(place).join(NAME));
    let found = std::iter::once(beside.clone()).chain(installed).find(|path| path.exists());
    found.unwrap_or(beside)
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path).with_context(|| format!("finding {}", path.display()))
}

fn tcp_address(text: &str) -> Result<String> {
    let address = text.strip_prefix("tcp://").unwrap_or(text);
    match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(address.to_owned()),
        _ => bail!("invalid address to listen on {text:?}: expected tcp://address:port"),
    }
}

/// Whoever reaches the API is root: a port that asks nobody for a certificate
/// must be meant, encrypted or not.
fn refuse_open_ports(tcp: &[String], encrypted: bool) -> Result<()> {
    let is_loopback = |address: &String| {
        let host = address.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    let Some(address) = tcp.iter().find(|address| !is_loopback(address)) else { return Ok(()) };
    let (lacking, missing) = if encrypted {
        ("asking clients for a certificate", "--tls-ca")
    } else {
        ("TLS", "--tls-cert, --tls-key and --tls-ca")
    };
    bail!(
        "refusing to listen on {address} without {lacking}: whoever reaches it is root on this \
         machine; give {missing}, or --insecure-tcp if the network is yours alone"
    )
}

fn pool(text: &str) -> Result<AddressPool> {
    let field =
        |key: &str| text.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    let (Some(base), Some(size)) = (field("base"), field("size")) else {
        bail!("invalid address pool {text:?}: expected base=10.200.0.0/16,size=24");
    };
    let base: Subnet =
        base.parse().with_context(|| format!("reading the address pool {text:?}"))?;
    let size = size.parse().with_context(|| format!("reading the address pool {text:?}"))?;
    Ok(AddressPool { base, size })
}

fn bridge_address(text: &str) -> Result<(std::net::Ipv4Addr, Subnet)> {
    let bad = || format!("invalid bridge address {text:?}: expected 172.17.0.1/16");
    let (address, bits) = text.split_once('/').with_context(bad)?;
    let address: std::net::Ipv4Addr = address.parse().with_context(bad)?;
    let bits: u8 = bits.parse().ok().filter(|bits| (8..=30).contains(bits)).with_context(bad)?;
    Ok((address, Subnet::of(address, bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).expect("settings")
    }

    #[test]
    fn flags_go_before_the_file() {
        let flags = settings("root = \"/a\"\ninsecure-registry = [\"x:1\"]");
        let file = settings("root = \"/b\"\nrun-dir = \"/r\"\ninsecure-registry = [\"y:1\"]");
        let config = flags.over(file).decide().expect("a configuration");
        assert_eq!(config.root, Path::new("/a"));
        assert_eq!(config.socket, Path::new("/r/shoal.sock"));
        assert_eq!(config.insecure_registries, ["x:1"]);
        assert!(toml::from_str::<Settings>("nonsense = 1").is_err());
    }

    #[test]
    fn an_open_port_must_be_meant() {
        assert!(settings("listen = [\"tcp://127.0.0.1:1\", \"tcp://[::1]:1\"]").decide().is_ok());
        assert!(settings("listen = [\"tcp://0.0.0.0:1\"]").decide().is_err());
        assert!(settings("listen = [\"tcp://0.0.0.0:1\"]\ninsecure-tcp = true").decide().is_ok());
        assert!(settings("tls-cert = \"/a\"").decide().is_err());
        let open = "listen = [\"tcp://0.0.0.0:1\"]\ntls-cert = \"/a\"\ntls-key = \"/b\"\n";
        let error = settings(open).decide().expect_err("encrypted, and open to all").to_string();
        assert!(error.contains("give --tls-ca, or --insecure-tcp"), "{error}");
        assert!(settings(&format!("{open}tls-ca = \"/c\"")).decide().is_ok());
        assert!(settings(&format!("{open}insecure-tcp = true")).decide().is_ok());
        let loopback = open.replace("0.0.0.0", "127.0.0.1");
        assert!(settings(&loopback).decide().is_ok());
    }

    #[test]
    fn pools_and_bridges_are_read() {
        let config = settings(
            "address-pool = [\"base=10.200.0.0/16,size=24\"]\nbridge-address = \"10.1.2.1/24\"",
        );
        let network = config.decide().expect("a configuration").network;
        assert_eq!((network.pools.len(), network.pools[0].size), (1, 24));
        assert_eq!(network.default_subnet.expect("a subnet").0.to_string(), "10.1.2.1");
        assert!(settings("address-pool = [\"10.0.0.0/8\"]").decide().is_err());
        assert!(settings("bridge-address = \"10.0.0.1\"").decide().is_err());
    }
}
