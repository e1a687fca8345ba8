//! Networks.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use http::StatusCode;
use serde_json::{Value, json};

use super::container::pairs;
use super::shell::Shell;
use super::verbs::{Inspect, ListFlags, Names, Network, Object, PruneFlags, each, row, rows};
use crate::client::{Filters, Query, refused_with};
use crate::print::words::{items, short, text};
use crate::print::{self, column};

/// The verbs of networks.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a network
    Create(Create),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show everything about networks
    Inspect(Inspect<Network>),
    /// Remove networks
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Join a container to a network
    Connect(Connect),
    /// Take a container out of a network
    Disconnect(Disconnect),
    /// Remove networks no container is in
    Prune(Prune),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Create(verb) => verb.run(shell).await,
            Self::Ls(verb) => verb.run(shell).await,
            Self::Inspect(verb) => verb.run(shell).await,
            Self::Rm(verb) => verb.run(shell).await,
            Self::Connect(verb) => verb.run(shell).await,
            Self::Disconnect(verb) => verb.run(shell).await,
            Self::Prune(verb) => verb.run(shell).await,
        }
    }
}

/// Make a network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal network create backend
  shoal network create --subnet 10.1.0.0/16 --gateway 10.1.0.1 backend
  shoal network create --internal closed            no way out of it")]
pub(super) struct Create {
    /// The driver
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Its addresses (10.1.0.0/16)
    #[arg(long, value_name = "ADDRESS/BITS")]
    subnet: Vec<String>,
    /// Part of them to give out
    #[arg(long, value_name = "ADDRESS/BITS")]
    ip_range: Vec<String>,
    /// The bridge's own address
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// Address in use by others
    #[arg(long, value_name = "NAME=ADDRESS")]
    aux_address: Vec<String>,
    /// Cut off from the world outside
    #[arg(long)]
    internal: bool,
    /// Let containers outside of services join
    #[arg(long)]
    attachable: bool,
    /// Also give IPv6 addresses
    #[arg(long)]
    ipv6: bool,
    /// Set a label
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Option of the driver
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,
    /// Name of the network
    name: String,
}

impl Create {
    async fn run(self, shell: &Shell) -> Result<()> {
        let document = json!({
            "Name": self.name,
            "Driver": self.driver,
            "Internal": self.internal,
            "Attachable": self.attachable,
            "EnableIPv6": self.ipv6,
            "Options": pairs(&self.opt),
            "Labels": pairs(&self.label),
            "IPAM": { "Driver": "default", "Config": self.pools()? },
        });
        let network = shell.client.post("/networks/create", &Query::new(), &document).await?;
        Ok(print::line(text(&network, "Id"))?)
    }

    /// Ranges, gateways and further addresses belong to the one subnet.
    fn pools(&self) -> Result<Vec<Value>> {
        let rest =
            !self.ip_range.is_empty() || !self.gateway.is_empty() || !self.aux_address.is_empty();
        match self.subnet.as_slice() {
            [] if rest => bail!("--ip-range, --gateway and --aux-address need a --subnet"),
            [] => Ok(Vec::new()),
            [subnet] => {
                let mut pool =
                    json!({ "Subnet": subnet, "AuxiliaryAddresses": pairs(&self.aux_address) });
                for (key, values) in [("IPRange", &self.ip_range), ("Gateway", &self.gateway)] {
                    match values.as_slice() {
                        [] => {}
                        [value] => pool[key] = json!(value),
                        _ => bail!("one subnet has one {key}"),
                    }
                }
                Ok(vec![pool])
            }
            subnets if rest => bail!(
                "--ip-range, --gateway and --aux-address go with one --subnet, not {}",
                subnets.len()
            ),
            subnets => Ok(subnets.iter().map(|subnet| json!({ "Subnet": subnet })).collect()),
        }
    }
}

/// List networks.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    shown: ListFlags<Network>,
    /// Do not cut ids
    #[arg(long)]
    no_trunc: bool,
}

impl List {
    async fn run(self, shell: &Shell) -> Result<()> {
        let networks = shell.client.get("/networks", &self.shown.query()?).await?;
        let rows = rows(&networks, |network| {
            let (id, mut fields) = (text(network, "Id"), row(network.clone()));
            let id = if self.no_trunc { id.to_owned() } else { short(id) };
            fields.insert("ID".to_owned(), json!(id));
            Value::Object(fields)
        });
        let columns = vec![
            column("ID", "NETWORK ID"),
            column("Name", "NAME"),
            column("Driver", "DRIVER"),
            column("Scope", "SCOPE"),
        ];
        self.shown.print(columns, rows, "ID")
    }
}

/// Remove networks.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// No error for one that is not there
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    networks: Names<Network>,
}

impl Remove {
    async fn run(self, shell: &Shell) -> Result<()> {
        if !self.force {
            return self.networks.remove(shell, Query::new()).await;
        }
        // As docker's, silent: those that are not there are as good as removed.
        each(&self.networks.names, async |name| {
            match shell.client.delete(&Network::KIND.path(name), &Query::new()).await {
                Ok(_) => Ok(name.to_owned()),
                Err(error) if refused_with(&error, StatusCode::NOT_FOUND) => Ok(String::new()),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// Join a container to a network.
#[derive(Debug, Args)]
pub(super) struct Connect {
    /// A further name in the network
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// A fixed address in the network
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// The network
    network: String,
    /// The container
    container: String,
}

impl Connect {
    async fn run(self, shell: &Shell) -> Result<()> {
        let mut endpoint = json!({ "Aliases": self.alias });
        if let Some(address) = &self.ip {
            endpoint["IPAMConfig"] = json!({ "IPv4Address": address });
        }
        let document = json!({ "Container": self.container, "EndpointConfig": endpoint });
        let path = format!("{}/connect", Network::KIND.path(&self.network));
        shell.client.post(&path, &Query::new(), &document).await.map(drop)
    }
}

/// Take a container out of a network.
#[derive(Debug, Args)]
pub(super) struct Disconnect {
    /// Also when the container does not answer
    #[arg(short, long)]
    force: bool,
    /// The network
    network: String,
    /// The container
    container: String,
}

impl Disconnect {
    async fn run(self, shell: &Shell) -> Result<()> {
        let document = json!({ "Container": self.container, "Force": self.force });
        let path = format!("{}/disconnect", Network::KIND.path(&self.network));
        shell.client.post(&path, &Query::new(), &document).await.map(drop)
    }
}

/// Remove networks no container is in.
#[derive(Debug, Args)]
pub(super) struct Prune {
    #[command(flatten)]
    flags: PruneFlags<Network>,
}

impl Prune {
    async fn run(self, shell: &Shell) -> Result<()> {
        let question = "This will remove all custom networks not used by at least one container.";
        let answer = self.flags.run(shell, question, Filters::default()).await?;
        let Some(answer) = answer else { return Ok(()) };
        let removed = &answer["NetworksDeleted"];
        if removed.is_array() {
            print::line("Deleted Networks:")?;
        }
        Ok(items(removed).filter_map(Value::as_str).try_for_each(print::line)?)
    }
}
