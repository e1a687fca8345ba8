//! The swarm itself.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::container::nanos;
use super::shell::Shell;
use crate::client::Query;
use crate::print;
use crate::print::words::{items, text};

/// The verbs of the swarm.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
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

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Init(verb) => verb.run(shell).await,
            Self::Join(verb) => verb.run(shell).await,
            Self::Leave(verb) => verb.run(shell).await,
            Self::JoinToken(verb) => verb.run(shell).await,
            Self::Update(verb) => verb.run(shell).await,
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

/// How this node takes part in a swarm.
#[derive(Debug, Args)]
struct Member {
    /// Address the other nodes reach this one by
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    advertise_addr: Option<String>,
    /// Address to listen on as a manager
    #[arg(long, default_value = "0.0.0.0:2377", value_name = "ADDRESS[:PORT]")]
    listen_addr: String,
    /// Whether this node takes tasks
    #[arg(long, value_enum, default_value = "active")]
    availability: Availability,
}

impl Member {
    /// What `init` and `join` both send.
    fn document(&self) -> Value {
        json!({
            "ListenAddr": self.listen_addr,
            "AdvertiseAddr": self.advertise_addr.as_deref().unwrap_or_default(),
            "Availability": self.availability.word(),
        })
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

/// Make a swarm with this node as its manager.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal swarm init
  shoal swarm init --advertise-addr 10.0.0.5        on a machine with several addresses")]
pub(super) struct Init {
    #[command(flatten)]
    member: Member,
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
        let mut document = self.member.document();
        document["ForceNewCluster"] = json!(self.force_new_cluster);
        document["Spec"] = spec;
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
    let address = items(&info["Swarm"]["RemoteManagers"])
        .find(|manager| text(manager, "NodeID") == node)
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

/// Join this node to a swarm.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shoal swarm join --token SWMTKN-1-… 10.0.0.5:2377")]
pub(super) struct Join {
    /// The token another node printed
    #[arg(long)]
    token: String,
    #[command(flatten)]
    member: Member,
    /// A manager's address
    #[arg(value_name = "ADDRESS[:PORT]")]
    manager: String,
}

impl Join {
    async fn run(self, shell: &Shell) -> Result<()> {
        let mut document = self.member.document();
        document["RemoteAddrs"] = json!([self.manager]);
        document["JoinToken"] = json!(self.token);
        shell.client.post("/swarm/join", &Query::new(), &document).await?;
        let info = shell.client.get("/info", &Query::new()).await?;
        let role = if info["Swarm"]["ControlAvailable"] == true { "manager" } else { "worker" };
        Ok(print::line(format_args!("This node joined a swarm as a {role}."))?)
    }
}

/// Leave the swarm.
#[derive(Debug, Args)]
pub(super) struct Leave {
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

/// Show the command that joins another node.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal swarm join-token worker
  shoal swarm join-token --quiet manager            the token only, for scripts
  shoal swarm join-token --rotate worker            after a token became known")]
pub(super) struct JoinToken {
    /// Print the token only
    #[arg(short, long)]
    quiet: bool,
    /// Make a new token; the old one is worth nothing then
    #[arg(long)]
    rotate: bool,
    /// What the other node is to be
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

/// Change the settings of the swarm.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  shoal swarm update --task-history-limit 2 --dispatcher-heartbeat 10s")]
pub(super) struct Update {
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
