//! Nodes of the swarm.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::container::pairs;
use super::service::{self, tasks};
use super::shell::Shell;
use super::swarm::Availability;
use super::verbs::{ListFlags, Names, Node, Object, each, inspect, rows};
use crate::client::{Filters, Query};
use crate::print::column;
use crate::print::words::{capital, text};

/// The verbs of nodes.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
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
    Promote(Names<Node>),
    /// Make managers workers
    Demote(Names<Node>),
    /// Remove nodes from the swarm
    #[command(visible_alias = "remove")]
    Rm(Remove),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Ls(verb) => verb.run(shell).await,
            Self::Inspect(verb) => verb.run(shell).await,
            Self::Ps(verb) => verb.run(shell).await,
            Self::Update(verb) => verb.run(shell).await,
            Self::Promote(nodes) => set_role(shell, &nodes, "manager").await,
            Self::Demote(nodes) => set_role(shell, &nodes, "worker").await,
            Self::Rm(verb) => verb.run(shell).await,
        }
    }
}

/// List nodes.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    shown: ListFlags<Node>,
}

impl List {
    async fn run(self, shell: &Shell) -> Result<()> {
        let nodes = shell.client.get("/nodes", &self.shown.query()?).await?;
        let own = own_id(shell).await?;
        let mut rows = rows(&nodes, |node| fields(node, &own));
        rows.sort_by(|one, other| one["Hostname"].as_str().cmp(&other["Hostname"].as_str()));
        let columns = vec![
            column("Shown", "ID"),
            column("Hostname", "HOSTNAME"),
            column("Status", "STATUS"),
            column("Availability", "AVAILABILITY"),
            column("ManagerStatus", "MANAGER STATUS"),
            column("EngineVersion", "ENGINE VERSION"),
        ];
        self.shown.print(columns, rows, "ID")
    }
}

fn fields(node: &Value, own: &str) -> Value {
    let id = text(node, "ID");
    let manager = &node["ManagerStatus"];
    let status = match (manager["Leader"] == true, text(manager, "Reachability")) {
        (true, _) => "Leader".to_owned(),
        (false, word) => capital(word),
    };
    json!({
        "ID": id,
        "Shown": if id == own { format!("{id} *") } else { id.to_owned() },
        "Self": id == own,
        "Hostname": text(&node["Description"], "Hostname"),
        "Status": capital(text(&node["Status"], "State")),
        "Availability": capital(text(&node["Spec"], "Availability")),
        "ManagerStatus": status,
        "EngineVersion": text(&node["Description"]["Engine"], "EngineVersion"),
        "Address": text(&node["Status"], "Addr"),
    })
}

async fn own_id(shell: &Shell) -> Result<String> {
    let info = shell.client.get("/info", &Query::new()).await?;
    Ok(text(&info["Swarm"], "NodeID").to_owned())
}

/// The name `self` is this node's.
async fn resolve(shell: &Shell, name: &str) -> Result<String> {
    match name {
        "self" => own_id(shell).await,
        name => Ok(name.to_owned()),
    }
}

/// Show everything about nodes.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// Nodes, by host name or id; self is this one
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

impl Inspect {
    async fn run(self, shell: &Shell) -> Result<()> {
        let get = async |name: &str| {
            let name = resolve(shell, name).await?;
            shell.client.get(&Node::KIND.view_path(&name), &Query::new()).await
        };
        inspect(&self.nodes, self.format.as_deref(), get).await
    }
}

/// Show the tasks on nodes.
#[derive(Debug, Args)]
pub(super) struct Ps {
    #[command(flatten)]
    shown: service::TaskList,
    /// Nodes, by host name or id; this one if none is named
    #[arg(value_name = "NODE")]
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

/// Change a node: availability, role, labels.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal node update --availability drain node-3     its tasks go elsewhere
  shoal node update --label-add disk=ssd node-3     for service create --constraint")]
pub(super) struct Update {
    /// Whether it takes tasks
    #[arg(long, value_enum)]
    availability: Option<Availability>,
    /// Whether it manages the swarm
    #[arg(long, value_parser = ["worker", "manager"])]
    role: Option<String>,
    /// Set a label
    #[arg(long, value_name = "NAME[=VALUE]")]
    label_add: Vec<String>,
    /// Remove a label
    #[arg(long, value_name = "NAME")]
    label_rm: Vec<String>,
    /// The node, by host name or id; self is this one
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
    let node = shell.client.get(&Node::KIND.path(&name), &Query::new()).await?;
    let mut spec = node["Spec"].clone();
    change(&mut spec);
    let query = Query::new().with("version", &node["Version"]["Index"]);
    let path = format!("{}/update", Node::KIND.path(text(&node, "ID")));
    shell.client.post(&path, &query, &spec).await.map(drop)
}

async fn set_role(shell: &Shell, nodes: &Names<Node>, role: &str) -> Result<()> {
    each(&nodes.names, async |name| {
        change(shell, name, |spec| spec["Role"] = json!(role)).await?;
        Ok(match role {
            "manager" => format!("Node {name} promoted to a manager in the swarm."),
            _ => format!("Manager {name} demoted in the swarm."),
        })
    })
    .await
}

/// Remove nodes from the swarm.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Even if it is not down
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    nodes: Names<Node>,
}

impl Remove {
    async fn run(self, shell: &Shell) -> Result<()> {
        self.nodes.remove(shell, Query::new().with_flag("force", self.force)).await
    }
}
