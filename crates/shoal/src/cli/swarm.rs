//! The swarm itself.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::container::nanos;
use super::shell::Shell;
use crate::client::Query;
use crate::print;
use crate::print::words::text;

/// The swarm: several machines as one.
#[derive(Debug, Args)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a swarm with this node as its manager
    Init(Init),
    /// Join this node to a swarm
    Join(Join),
    /// Leave the swarm
    Leave(Leave),
    /// Show the command that joins another node
    JoinToken(JoinToken),
    /// Change the settings of the swarm
    Update(Update),
}

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self.verb {
            Verb::Init(verb) => verb.run(shell).await,
            Verb::Join(verb) => verb.run(shell).await,
            Verb::Leave(verb) => verb.run(shell).await,
            Verb::JoinToken(verb) => verb.run(shell).await,
            Verb::Update(verb) => verb.run(shell).await,
        }
    }
}

/// Whether a node takes and keeps tasks.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Availability {
    /// Takes new tasks
    Active,
    /// Keeps its tasks, takes no new ones
    Pause,
    /// Its tasks go elsewhere
    Drain,
}

impl Availability {
    /// The API's word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}

/// The settings a swarm may have.
#[derive(Debug, Args)]
struct Settings {
    /// Finished tasks to keep for each slot
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    task_history_limit: Option<i64>,
    /// Time between two heartbeats of a worker
    #[arg(long, value_name = "DURATION")]
    dispatcher_heartbeat: Option<String>,
    /// How long certificates of nodes are valid
    #[arg(long, value_name = "DURATION")]
    cert_expiry: Option<String>,
    /// Entries of the log between two snapshots
    #[arg(long, value_name = "NUMBER")]
    snapshot_interval: Option<u64>,
}

impl Settings {
    /// Puts what was given into a spec.
    fn apply(&self, spec: &mut Value) -> Result<()> {
        if let Some(limit) = self.task_history_limit {
            spec["Orchestration"]["TaskHistoryRetentionLimit"] = json!(limit);
        }
        if let Some(period) = &self.dispatcher_heartbeat {
            spec["Dispatcher"]["HeartbeatPeriod"] = json!(nanos(period)?);
        }
        if let Some(expiry) = &self.cert_expiry {
            spec["CAConfig"]["NodeCertExpiry"] = json!(nanos(expiry)?);
        }
        if let Some(interval) = self.snapshot_interval {
            spec["Raft"]["SnapshotInterval"] = json!(interval);
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
struct Init {
    /// Address the other nodes reach this one by
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    advertise_addr: Option<String>,
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0:2377", value_name = "ADDRESS[:PORT]")]
    listen_addr: String,
    /// Whether this node takes tasks
    #[arg(long, value_enum, default_value = "active")]
    availability: Availability,
    /// Start again from what this node knows
    #[arg(long)]
    force_new_cluster: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Init {
    async fn run(self, shell: &Shell) -> Result<()> {
        let mut spec = json!({});
        self.settings.apply(&mut spec)?;
        let document = json!({
            "ListenAddr": self.listen_addr,
            "AdvertiseAddr": self.advertise_addr.unwrap_or_default(),
            "ForceNewCluster": self.force_new_cluster,
            "Availability": self.availability.word(),
            "Spec": spec,
        });
        let node = shell.client.post("/swarm/init", &Query::new(), &document).await?;
        let node = node.as_str().unwrap_or_default();
        print::line(format_args!("Swarm initialized: current node ({node}) is now a manager.\n"))?;
        print_join(shell, "worker").await?;
        Ok(print::line(
            "To add a manager to this swarm, run 'shoal swarm join-token manager' and follow the instructions.\n",
        )?)
    }
}

async fn print_join(shell: &Shell, role: &str) -> Result<()> {
    let swarm = shell.client.get("/swarm", &Query::new()).await?;
    let info = shell.client.get("/info", &Query::new()).await?;
    let token = token(&swarm, role)?;
    let node = text(&info["Swarm"], "NodeID");
    let managers = info["Swarm"]["RemoteManagers"].as_array().into_iter().flatten();
    let mut own = managers.filter(|manager| text(manager, "NodeID") == node);
    let address = own
        .next()
        .map(|manager| text(manager, "Addr"))
        .context("this node does not know its own address")?;
    Ok(print::line(format_args!(
        "To add a {role} to this swarm, run the following command:\n\n    shoal swarm join --token {token} {address}\n"
    ))?)
}

fn token(swarm: &Value, role: &str) -> Result<String> {
    let key = match role {
        "worker" => "Worker",
        "manager" => "Manager",
        other => bail!("unknown role {other:?}: worker or manager"),
    };
    Ok(text(&swarm["JoinTokens"], key).to_owned())
}

#[derive(Debug, Args)]
struct Join {
    /// The token another node printed
    #[arg(long)]
    token: String,
    /// Address the other nodes reach this one by
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    advertise_addr: Option<String>,
    /// Address to listen on as a manager
    #[arg(long, default_value = "0.0.0.0:2377", value_name = "ADDRESS[:PORT]")]
    listen_addr: String,
    /// Whether this node takes tasks
    #[arg(long, value_enum, default_value = "active")]
    availability: Availability,
    /// A manager's address
    manager: String,
}

impl Join {
    async fn run(self, shell: &Shell) -> Result<()> {
        let document = json!({
            "ListenAddr": self.listen_addr,
            "AdvertiseAddr": self.advertise_addr.unwrap_or_default(),
            "RemoteAddrs": [self.manager],
            "JoinToken": self.token,
            "Availability": self.availability.word(),
        });
        shell.client.post("/swarm/join", &Query::new(), &document).await?;
        let info = shell.client.get("/info", &Query::new()).await?;
        let role = if info["Swarm"]["ControlAvailable"] == true { "manager" } else { "worker" };
        Ok(print::line(format_args!("This node joined a swarm as a {role}."))?)
    }
}

#[derive(Debug, Args)]
struct Leave {
    /// Even as a manager, whatever the swarm loses by it
    #[arg(short, long)]
    force: bool,
}

impl Leave {
    async fn run(self, shell: &Shell) -> Result<()> {
        shell.client.act("/swarm/leave", &Query::new().with_flag("force", self.force)).await?;
        Ok(print::line("Node left the swarm.")?)
    }
}

#[derive(Debug, Args)]
struct JoinToken {
    /// Print the token only
    #[arg(short, long)]
    quiet: bool,
    /// Make a new token; the old one is worth nothing then
    #[arg(long)]
    rotate: bool,
    /// worker or manager
    #[arg(value_parser = ["worker", "manager"])]
    role: String,
}

impl JoinToken {
    async fn run(self, shell: &Shell) -> Result<()> {
        if self.rotate {
            let swarm = shell.client.get("/swarm", &Query::new()).await?;
            let key =
                if self.role == "worker" { "rotateWorkerToken" } else { "rotateManagerToken" };
            let query = Query::new().with("version", &swarm["Version"]["Index"]).with(key, "true");
            shell.client.post("/swarm/update", &query, &swarm["Spec"]).await?;
            if !self.quiet {
                print::line(format_args!("Successfully rotated {} join token.\n", self.role))?;
            }
        }
        if self.quiet {
            let swarm = shell.client.get("/swarm", &Query::new()).await?;
            return Ok(print::line(token(&swarm, &self.role)?)?);
        }
        print_join(shell, &self.role).await
    }
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    settings: Settings,
}

impl Update {
    async fn run(self, shell: &Shell) -> Result<()> {
        let swarm = shell.client.get("/swarm", &Query::new()).await?;
        let mut spec = swarm["Spec"].clone();
        self.settings.apply(&mut spec)?;
        let query = Query::new().with("version", &swarm["Version"]["Index"]);
        shell.client.post("/swarm/update", &query, &spec).await?;
        Ok(print::line("Swarm updated.")?)
    }
}
