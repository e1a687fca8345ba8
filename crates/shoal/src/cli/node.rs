//! Nodes of the swarm.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::container::pairs;
use super::service::{self, tasks};
use super::shell::{Shell, each, inspect};
use super::swarm::Availability;
use crate::client::{Filters, Query, segment};
use crate::print::words::text;
use crate::print::{Listing, column};

/// Nodes of the swarm.
#[derive(Debug, Args)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List nodes
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show everything about nodes
    Inspect(Inspect),
    /// Show the tasks on nodes
    Ps(Ps),
    /// Change a node: availability, role, labels
    Update(Update),
    /// Make nodes managers
    Promote(Names),
    /// Make managers workers
    Demote(Names),
    /// Remove nodes from the swarm
    #[command(visible_alias = "remove")]
    Rm(Remove),
}

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self.verb {
            Verb::Ls(verb) => verb.run(shell).await,
            Verb::Inspect(verb) => verb.run(shell).await,
            Verb::Ps(verb) => verb.run(shell).await,
            Verb::Update(verb) => verb.run(shell).await,
            Verb::Promote(names) => names.set_role(shell, "manager").await,
            Verb::Demote(names) => names.set_role(shell, "worker").await,
            Verb::Rm(verb) => verb.run(shell).await,
        }
    }
}

#[derive(Debug, Args)]
struct List {
    /// Only those that match: name=…, role=…, node.label=…
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    /// Ids only
    #[arg(short, long)]
    quiet: bool,
}

impl List {
    async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_filters(&Filters::parse(&self.filter)?);
        let nodes = shell.client.get("/nodes", &query).await?;
        let info = shell.client.get("/info", &Query::new()).await?;
        let own = text(&info["Swarm"], "NodeID");
        let row = |node: &Value| {
            let id = text(node, "ID");
            let manager = &node["ManagerStatus"];
            let status = match (manager["Leader"] == true, text(manager, "Reachability")) {
                (true, _) => "Leader".to_owned(),
                (false, word) => capital(word),
            };
            let row = json!({
                "ID": id,
                "Shown": if id == own { format!("{id} *") } else { id.to_owned() },
                "Self": id == own,
                "Hostname": text(&node["Description"], "Hostname"),
                "Status": capital(text(&node["Status"], "State")),
                "Availability": capital(text(&node["Spec"], "Availability")),
                "ManagerStatus": status,
                "EngineVersion": text(&node["Description"]["Engine"], "EngineVersion"),
                "Address": text(&node["Status"], "Addr"),
            });
            row.as_object().cloned().unwrap_or_default()
        };
        let mut rows: Vec<_> = nodes.as_array().into_iter().flatten().map(row).collect();
        rows.sort_by(|one, other| one["Hostname"].as_str().cmp(&other["Hostname"].as_str()));
        let columns = vec![
            column("Shown", "ID"),
            column("Hostname", "HOSTNAME"),
            column("Status", "STATUS"),
            column("Availability", "AVAILABILITY"),
            column("ManagerStatus", "MANAGER STATUS"),
            column("EngineVersion", "ENGINE VERSION"),
        ];
        Listing { columns, rows, key: "ID" }.print(self.format.as_deref(), self.quiet)
    }
}

/// A word with a capital, as docker shows states.
pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The name `self` is this node's.
async fn resolve(shell: &Shell, name: &str) -> Result<String> {
    if name != "self" {
        return Ok(name.to_owned());
    }
    let info = shell.client.get("/info", &Query::new()).await?;
    Ok(text(&info["Swarm"], "NodeID").to_owned())
}

#[derive(Debug, Args)]
struct Inspect {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// Nodes, by host name or id; self is this one
    #[arg(required = true)]
    nodes: Vec<String>,
}

impl Inspect {
    async fn run(self, shell: &Shell) -> Result<()> {
        let get = async |name: &str| {
            let name = resolve(shell, name).await?;
            shell.client.get(&format!("/nodes/{}", segment(&name)), &Query::new()).await
        };
        inspect(&self.nodes, self.format.as_deref(), get).await
    }
}

#[derive(Debug, Args)]
struct Ps {
    #[command(flatten)]
    shown: service::TaskList,
    /// Nodes, by host name or id; this one if none is named
    nodes: Vec<String>,
}

impl Ps {
    async fn run(self, shell: &Shell) -> Result<()> {
        let names = if self.nodes.is_empty() { vec!["self".to_owned()] } else { self.nodes };
        let mut filters = Filters::default();
        for name in &names {
            filters.add("node", &resolve(shell, name).await?);
        }
        tasks(shell, &self.shown, filters).await
    }
}

#[derive(Debug, Args)]
struct Update {
    /// Whether it takes tasks
    #[arg(long, value_enum)]
    availability: Option<Availability>,
    /// worker or manager
    #[arg(long, value_parser = ["worker", "manager"])]
    role: Option<String>,
    /// Set a label
    #[arg(long, value_name = "NAME[=VALUE]")]
    label_add: Vec<String>,
    /// Remove a label
    #[arg(long, value_name = "NAME")]
    label_rm: Vec<String>,
    /// The node
    node: String,
}

impl Update {
    async fn run(self, shell: &Shell) -> Result<()> {
        each(std::slice::from_ref(&self.node), async |name| {
            change(shell, name, |spec| {
                if let Some(availability) = self.availability {
                    spec["Availability"] = json!(availability.word());
                }
                if let Some(role) = &self.role {
                    spec["Role"] = json!(role);
                }
                let mut labels: Map<String, Value> =
                    spec["Labels"].as_object().cloned().unwrap_or_default();
                labels.retain(|key, _| !self.label_rm.contains(key));
                labels.extend(pairs(&self.label_add));
                spec["Labels"] = Value::Object(labels);
            })
            .await?;
            Ok(name.to_owned())
        })
        .await
    }
}

async fn change(shell: &Shell, name: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let name = resolve(shell, name).await?;
    let node = shell.client.get(&format!("/nodes/{}", segment(&name)), &Query::new()).await?;
    let mut spec = node["Spec"].clone();
    change(&mut spec);
    let query = Query::new().with("version", &node["Version"]["Index"]);
    shell
        .client
        .post(&format!("/nodes/{}/update", text(&node, "ID")), &query, &spec)
        .await
        .map(drop)
}

#[derive(Debug, Args)]
struct Names {
    /// The nodes
    #[arg(required = true)]
    nodes: Vec<String>,
}

impl Names {
    async fn set_role(self, shell: &Shell, role: &str) -> Result<()> {
        each(&self.nodes, async |name| {
            change(shell, name, |spec| spec["Role"] = json!(role)).await?;
            Ok(match role {
                "manager" => format!("Node {name} promoted to a manager in the swarm."),
                _ => format!("Manager {name} demoted in the swarm."),
            })
        })
        .await
    }
}

#[derive(Debug, Args)]
struct Remove {
    /// Even if it is not down
    #[arg(short, long)]
    force: bool,
    /// The nodes
    #[arg(required = true)]
    nodes: Vec<String>,
}

impl Remove {
    async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_flag("force", self.force);
        each(&self.nodes, async |name| {
            shell.client.delete(&format!("/nodes/{}", segment(name)), &query).await?;
            Ok(name.to_owned())
        })
        .await
    }
}
