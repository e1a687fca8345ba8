//! Containers.

mod attach;
mod create;
mod document;
mod exec;
mod inspect;
mod lifecycle;
mod logs;
mod mounts;
mod options;
mod ports;
mod ps;
mod run;
mod stats;
mod values;

use anyhow::Result;
use clap::Subcommand;

use super::shell::Shell;
use super::verbs::{Container, Names};
use crate::client::Query;

pub(super) use logs::{Choice, read as read_logs};
pub(super) use mounts::read_mount;
pub(super) use options::Health;
pub(super) use ports::read_port_parts;
pub(super) use run::Run;
pub(super) use values::{bytes, environment, health, labels, nano_cpus, nanos, pairs, ulimits};

/// Containers, by docker's longer names.
#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// Run a command in a new container
    Run(Box<Run>),
    #[command(flatten)]
    Verb(Verb),
    /// List containers
    #[command(visible_alias = "list")]
    Ls(ps::Ps),
    /// Remove all containers that do not run
    Prune(lifecycle::Prune),
}

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Run(verb) => verb.run(shell).await,
            Self::Verb(verb) => verb.run(shell).await,
            Self::Ls(verb) => verb.run(shell).await,
            Self::Prune(verb) => verb.run(shell).await,
        }
    }
}

/// The verbs of containers that stand at the top.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a container without starting it
    Create(Box<create::Create>),
    /// Start containers
    Start(lifecycle::Start),
    /// Stop containers: their stop signal, then SIGKILL
    Stop(lifecycle::Stop),
    /// Stop and start containers
    Restart(lifecycle::Restart),
    /// Send a signal to containers
    Kill(lifecycle::Kill),
    /// Remove containers
    Rm(lifecycle::Rm),
    /// Freeze all processes of containers
    Pause(Names<Container>),
    /// Let frozen containers go on
    Unpause(Names<Container>),
    /// Give a container another name
    Rename(lifecycle::Rename),
    /// Wait until containers stop, and print their exit codes
    Wait(Names<Container>),
    /// Change the limits of containers
    Update(lifecycle::Update),
    /// List containers
    Ps(ps::Ps),
    /// Show what containers wrote
    Logs(logs::Logs),
    /// Connect to a running container
    Attach(attach::Attach),
    /// Run another command in a running container
    Exec(exec::Exec),
    /// Show everything about containers, images, volumes, networks, …
    Inspect(inspect::InspectAny),
    /// Show a container's published ports
    Port(inspect::Port),
    /// Show the processes of a container
    Top(stats::Top),
    /// Show what containers use, live
    Stats(stats::Stats),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Create(verb) => verb.run(shell).await,
            Self::Start(verb) => verb.run(shell).await,
            Self::Stop(verb) => verb.run(shell).await,
            Self::Restart(verb) => verb.run(shell).await,
            Self::Kill(verb) => verb.run(shell).await,
            Self::Rm(verb) => verb.run(shell).await,
            Self::Pause(names) => names.act(shell, "pause", Query::new()).await,
            Self::Unpause(names) => names.act(shell, "unpause", Query::new()).await,
            Self::Rename(verb) => verb.run(shell).await,
            Self::Wait(names) => lifecycle::wait(shell, &names).await,
            Self::Update(verb) => verb.run(shell).await,
            Self::Ps(verb) => verb.run(shell).await,
            Self::Logs(verb) => verb.run(shell).await,
            Self::Attach(verb) => verb.run(shell).await,
            Self::Exec(verb) => verb.run(shell).await,
            Self::Inspect(verb) => verb.run(shell).await,
            Self::Port(verb) => verb.run(shell).await,
            Self::Top(verb) => verb.run(shell).await,
            Self::Stats(verb) => verb.run(shell).await,
        }
    }
}
