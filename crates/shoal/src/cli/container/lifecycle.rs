//! The short verbs of a container's life.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::super::confirm;
use super::super::exit::Exit;
use super::super::shell::{Shell, each};
use super::attach::Connection;
use super::document::restart;
use super::values::{bytes, nano_cpus};
use crate::client::{Filters, Query, segment};
use crate::print;

/// Containers by name or id.
#[derive(Debug, Args)]
pub(in crate::cli) struct Names {
    /// Containers, by name or the begin of their id
    #[arg(required = true)]
    containers: Vec<String>,
}

impl Names {
    async fn act(&self, shell: &Shell, verb: &str, query: Query) -> Result<()> {
        each(&self.containers, async |name| {
            shell.client.act(&format!("/containers/{}/{verb}", segment(name)), &query).await?;
            Ok(name.to_owned())
        })
        .await
    }

    /// Freezes them.
    pub(super) async fn pause(self, shell: &Shell) -> Result<()> {
        self.act(shell, "pause", Query::new()).await
    }
}

/// Let frozen containers go on.
#[derive(Debug, Args)]
pub(in crate::cli) struct Unpause {
    #[command(flatten)]
    names: Names,
}

impl Unpause {
    /// Thaws them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        self.names.act(shell, "unpause", Query::new()).await
    }
}

/// Start containers.
#[derive(Debug, Args)]
pub(in crate::cli) struct Start {
    /// Attach to what it writes
    #[arg(short, long)]
    attach: bool,
    /// Attach our input
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    #[command(flatten)]
    names: Names,
}

impl Start {
    /// Starts them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        if !self.attach && !self.interactive {
            return self.names.act(shell, "start", Query::new()).await;
        }
        let [name] = self.names.containers.as_slice() else {
            bail!("you cannot start and attach multiple containers at once");
        };
        let path = format!("/containers/{}", segment(name));
        let view = shell.client.get(&format!("{path}/json"), &Query::new()).await?;
        let connection = Connection {
            container: name,
            stdin: self.interactive,
            keys: self.detach_keys.as_deref(),
            signals: true,
        };
        let start =
            async || shell.client.act(&format!("{path}/start"), &Query::new()).await.map(drop);
        let code = connection.hold(shell, &view, start).await?;
        if code == 0 { Ok(()) } else { Err(Exit(code).into()) }
    }
}

/// Stop containers: their stop signal, then SIGKILL.
#[derive(Debug, Args)]
pub(in crate::cli) struct Stop {
    /// Seconds until SIGKILL; -1 waits for ever
    #[arg(
        short = 't',
        long = "timeout",
        visible_alias = "time",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    seconds: Option<i64>,
    /// Signal instead of the container's own
    #[arg(short, long)]
    signal: Option<String>,
    #[command(flatten)]
    names: Names,
}

impl Stop {
    fn query(&self) -> Query {
        Query::new().with_some("t", self.seconds).with_some("signal", self.signal.as_ref())
    }

    /// Stops them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        self.names.act(shell, "stop", self.query()).await
    }
}

/// Stop and start containers.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restart {
    #[command(flatten)]
    stop: Stop,
}

impl Restart {
    /// Restarts them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        self.stop.names.act(shell, "restart", self.stop.query()).await
    }
}

/// Send a signal to containers.
#[derive(Debug, Args)]
pub(in crate::cli) struct Kill {
    /// The signal
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    #[command(flatten)]
    names: Names,
}

impl Kill {
    /// Signals them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        self.names.act(shell, "kill", Query::new().with("signal", &self.signal)).await
    }
}

/// Remove containers.
#[derive(Debug, Args)]
pub(in crate::cli) struct Rm {
    /// Kill those that run
    #[arg(short, long)]
    force: bool,
    /// Remove their anonymous volumes, too
    #[arg(short, long)]
    volumes: bool,
    #[command(flatten)]
    names: Names,
}

impl Rm {
    /// Removes them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_flag("force", self.force).with_flag("v", self.volumes);
        each(&self.names.containers, async |name| {
            shell.client.delete(&format!("/containers/{}", segment(name)), &query).await?;
            Ok(name.to_owned())
        })
        .await
    }
}

/// Give a container another name.
#[derive(Debug, Args)]
pub(in crate::cli) struct Rename {
    /// The container
    container: String,
    /// Its name from now on
    name: String,
}

impl Rename {
    /// Renames it.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let path = format!("/containers/{}/rename", segment(&self.container));
        shell.client.act(&path, &Query::new().with("name", &self.name)).await.map(drop)
    }
}

/// Wait until containers stop, and print their exit codes.
#[derive(Debug, Args)]
pub(in crate::cli) struct Wait {
    #[command(flatten)]
    names: Names,
}

impl Wait {
    /// Waits for them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        each(&self.names.containers, async |name| {
            let path = format!("/containers/{}/wait", segment(name));
            let answer = shell.client.act(&path, &Query::new()).await?;
            Ok(answer["StatusCode"].to_string())
        })
        .await
    }
}

/// Change the limits of containers.
#[derive(Debug, Args)]
pub(in crate::cli) struct Update {
    /// Limit memory (512m, 2g)
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Limit memory and swap together
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Memory the kernel leaves it when short
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// Limit processors (1.5)
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Weight among others
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<i64>,
    /// Processors it may use
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Limit processes
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// When to start it again
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    #[command(flatten)]
    names: Names,
}

impl Update {
    /// Changes them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let mut document = json!({
            "Memory": bytes(self.memory.as_deref())?,
            "MemorySwap": bytes(self.memory_swap.as_deref())?,
            "MemoryReservation": bytes(self.memory_reservation.as_deref())?,
            "NanoCpus": nano_cpus(self.cpus.as_deref())?,
            "CpuShares": self.cpu_shares.unwrap_or_default(),
            "CpusetCpus": self.cpuset_cpus.as_deref().unwrap_or_default(),
        });
        if let Some(limit) = self.pids_limit {
            document["PidsLimit"] = json!(limit);
        }
        if let Some(policy) = &self.restart {
            document["RestartPolicy"] = restart(policy)?;
        }
        each(&self.names.containers, async |name| {
            let path = format!("/containers/{}/update", segment(name));
            let answer = shell.client.post(&path, &Query::new(), &document).await?;
            for warning in
                answer["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str)
            {
                print::talk(format_args!("WARNING: {warning}"));
            }
            Ok(name.to_owned())
        })
        .await
    }
}

/// Remove all containers that do not run.
#[derive(Debug, Args)]
pub(in crate::cli) struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that match: until=…, label=…
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
}

impl Prune {
    /// Removes them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        if !self.force && !confirm("This will remove all stopped containers.")? {
            return Ok(());
        }
        let query = Query::new().with_filters(&Filters::parse(&self.filter)?);
        let answer = shell.client.act("/containers/prune", &query).await?;
        pruned("Deleted Containers:", &answer["ContainersDeleted"], &answer)
    }
}

/// Prints what a prune removed.
pub(in crate::cli) fn pruned(title: &str, removed: &Value, answer: &Value) -> Result<()> {
    if let Some(removed) = removed.as_array().filter(|removed| !removed.is_empty()) {
        print::line(title)?;
        for name in removed {
            print::line(name.as_str().unwrap_or_default())?;
        }
        print::line("")?;
    }
    let bytes = answer["SpaceReclaimed"].as_u64().unwrap_or_default();
    Ok(print::line(format_args!(
        "Total reclaimed space: {}",
        shoal_model::units::human_size(bytes)
    ))?)
}
