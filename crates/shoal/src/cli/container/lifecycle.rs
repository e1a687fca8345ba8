//! The short verbs of a container's life.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::super::exit::Exit;
use super::super::shell::Shell;
use super::super::verbs::{Container, Names, Object, PruneFlags, each, pruned};
use super::attach::Connection;
use super::document::restart;
use super::values::{bytes, nano_cpus};
use crate::client::{Filters, Query};
use crate::print;
use crate::print::words::items;

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
    containers: Names<Container>,
}

impl Start {
    /// Starts them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        if !self.attach && !self.interactive {
            return self.containers.act(shell, "start", Query::new()).await;
        }
        let [name] = self.containers.names.as_slice() else {
            bail!("you cannot start and attach multiple containers at once");
        };
        let path = Container::KIND.path(name);
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
    containers: Names<Container>,
}

impl Stop {
    fn query(&self) -> Query {
        Query::new().with_some("t", self.seconds).with_some("signal", self.signal.as_ref())
    }

    /// Stops them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        self.containers.act(shell, "stop", self.query()).await
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
        self.stop.containers.act(shell, "restart", self.stop.query()).await
    }
}

/// Send a signal to containers.
#[derive(Debug, Args)]
pub(in crate::cli) struct Kill {
    /// The signal
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    #[command(flatten)]
    containers: Names<Container>,
}

impl Kill {
    /// Signals them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        self.containers.act(shell, "kill", Query::new().with("signal", &self.signal)).await
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
    containers: Names<Container>,
}

impl Rm {
    /// Removes them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_flag("force", self.force).with_flag("v", self.volumes);
        match self.force {
            true => self.containers.force_away(shell, query, |name, _| name.to_owned()).await,
            false => self.containers.remove(shell, query).await,
        }
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
        let path = format!("{}/rename", Container::KIND.path(&self.container));
        shell.client.act(&path, &Query::new().with("name", &self.name)).await.map(drop)
    }
}

/// Waits until containers stop, and prints their exit codes.
pub(super) async fn wait(shell: &Shell, containers: &Names<Container>) -> Result<()> {
    each(&containers.names, async |name| {
        let path = format!("{}/wait", Container::KIND.path(name));
        let answer = shell.client.act(&path, &Query::new()).await?;
        Ok(answer["StatusCode"].to_string())
    })
    .await
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
    containers: Names<Container>,
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
        each(&self.containers.names, async |name| {
            let path = format!("{}/update", Container::KIND.path(name));
            let answer = shell.client.post(&path, &Query::new(), &document).await?;
            for warning in items(&answer["Warnings"]).filter_map(Value::as_str) {
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
    #[command(flatten)]
    flags: PruneFlags<Container>,
}

impl Prune {
    /// Removes them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let question = "This will remove all stopped containers.";
        match self.flags.run(shell, question, Filters::default()).await? {
            Some(answer) => pruned("Deleted Containers:", &answer["ContainersDeleted"], &answer),
            None => Ok(()),
        }
    }
}
