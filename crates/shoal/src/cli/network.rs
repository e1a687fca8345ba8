//! Networks.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::confirm;
use super::container::pairs;
use super::shell::{Shell, each, inspect};
use crate::client::{Filters, Query, segment};
use crate::print::words::{short, text};
use crate::print::{self, Listing, Row, column};

/// Networks.
#[derive(Debug, Args)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a network
    Create(Create),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show everything about networks
    Inspect(Inspect),
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

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self.verb {
            Verb::Create(verb) => verb.run(shell).await,
            Verb::Ls(verb) => verb.run(shell).await,
            Verb::Inspect(verb) => verb.run(shell).await,
            Verb::Rm(verb) => verb.run(shell).await,
            Verb::Connect(verb) => verb.run(shell).await,
            Verb::Disconnect(verb) => verb.run(shell).await,
            Verb::Prune(verb) => verb.run(shell).await,
        }
    }
}

#[derive(Debug, Args)]
struct Create {
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
    /// Its name
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

#[derive(Debug, Args)]
struct List {
    /// Only those that match: name=…, driver=…, label=…, type=custom|builtin
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    /// Do not cut ids
    #[arg(long)]
    no_trunc: bool,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

impl List {
    async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_filters(&Filters::parse(&self.filter)?);
        let networks = shell.client.get("/networks", &query).await?;
        let mut rows: Vec<Row> = networks
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|network| network.as_object().cloned())
            .collect();
        for row in &mut rows {
            let id = row.get("Id").and_then(Value::as_str).unwrap_or_default();
            let id = if self.no_trunc { id.to_owned() } else { short(id) };
            row.insert("ID".to_owned(), json!(id));
        }
        let columns = vec![
            column("ID", "NETWORK ID"),
            column("Name", "NAME"),
            column("Driver", "DRIVER"),
            column("Scope", "SCOPE"),
        ];
        Listing { columns, rows, key: "ID" }.print(self.format.as_deref(), self.quiet)
    }
}

#[derive(Debug, Args)]
struct Inspect {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// The networks
    #[arg(required = true)]
    names: Vec<String>,
}

impl Inspect {
    async fn run(self, shell: &Shell) -> Result<()> {
        let get = async |name: &str| {
            shell.client.get(&format!("/networks/{}", segment(name)), &Query::new()).await
        };
        inspect(&self.names, self.format.as_deref(), get).await
    }
}

#[derive(Debug, Args)]
struct Remove {
    /// No error for one that is not there
    #[arg(short, long)]
    force: bool,
    /// The networks
    #[arg(required = true)]
    names: Vec<String>,
}

impl Remove {
    async fn run(self, shell: &Shell) -> Result<()> {
        each(&self.names, async |name| {
            let removed =
                shell.client.delete(&format!("/networks/{}", segment(name)), &Query::new()).await;
            match removed {
                Ok(_) => Ok(name.to_owned()),
                Err(error) if self.force && is_missing(&error) => Ok(String::new()),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<crate::client::Refusal>()
        .is_some_and(|refusal| refusal.status == http::StatusCode::NOT_FOUND)
}

#[derive(Debug, Args)]
struct Connect {
    /// A further name in the network
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// A fixed address
    #[arg(long)]
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
        let path = format!("/networks/{}/connect", segment(&self.network));
        shell.client.post(&path, &Query::new(), &document).await.map(drop)
    }
}

#[derive(Debug, Args)]
struct Disconnect {
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
        let path = format!("/networks/{}/disconnect", segment(&self.network));
        shell.client.post(&path, &Query::new(), &document).await.map(drop)
    }
}

#[derive(Debug, Args)]
struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that match: until=…, label=…
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
}

impl Prune {
    async fn run(self, shell: &Shell) -> Result<()> {
        if !self.force
            && !confirm("This will remove all custom networks not used by at least one container.")?
        {
            return Ok(());
        }
        let query = Query::new().with_filters(&Filters::parse(&self.filter)?);
        let answer = shell.client.act("/networks/prune", &query).await?;
        if let Some(removed) = answer["NetworksDeleted"].as_array() {
            print::line("Deleted Networks:")?;
            for name in removed.iter().filter_map(Value::as_str) {
                print::line(name)?;
            }
        }
        Ok(())
    }
}
