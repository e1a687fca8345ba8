//! Services of the swarm.

mod create;
mod inspect;
mod list;
mod logs;
mod options;
mod progress;
mod ps;
mod scale;
mod spec;
mod update;

use anyhow::Result;
use clap::Subcommand;

use super::shell::Shell;
use super::verbs::{Names, Service};
use crate::client::Query;

pub(super) use ps::{TaskList, tasks};

/// The verbs of services.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a service
    Create(Box<create::Create>),
    /// List services
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Show the tasks of services
    Ps(ps::Ps),
    /// Show everything about services
    Inspect(inspect::InspectService),
    /// Change a service
    Update(Box<update::Update>),
    /// Return a service to what it was before
    Rollback(update::Rollback),
    /// Change how many tasks services have
    Scale(scale::Scale),
    /// Remove services
    #[command(visible_alias = "remove")]
    Rm(Names<Service>),
    /// Show what the tasks of a service, or one task, wrote
    Logs(logs::Logs),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Create(verb) => verb.run(shell).await,
            Self::Ls(verb) => verb.run(shell).await,
            Self::Ps(verb) => verb.run(shell).await,
            Self::Inspect(verb) => verb.run(shell).await,
            Self::Update(verb) => verb.run(shell).await,
            Self::Rollback(verb) => verb.run(shell).await,
            Self::Scale(verb) => verb.run(shell).await,
            Self::Rm(services) => services.remove(shell, Query::new()).await,
            Self::Logs(verb) => verb.run(shell).await,
        }
    }
}
