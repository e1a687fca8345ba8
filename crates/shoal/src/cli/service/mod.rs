//! Services of the swarm.

mod create;
mod list;
mod logs;
mod options;
mod progress;
mod ps;
mod remove;
mod scale;
mod spec;
mod update;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::shell::Shell;

pub(super) use ps::{TaskList, tasks};

/// Services of the swarm.
#[derive(Debug, Args)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a service
    Create(Box<create::Create>),
    /// List services
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Show the tasks of services
    Ps(ps::Ps),
    /// Show everything about services
    Inspect(list::Inspect),
    /// Change a service
    Update(Box<update::Update>),
    /// Return a service to what it was before
    Rollback(update::Rollback),
    /// Change how many tasks services have
    Scale(scale::Scale),
    /// Remove services
    #[command(visible_alias = "remove")]
    Rm(remove::Remove),
    /// Show what the tasks of a service, or one task, wrote
    Logs(logs::Logs),
}

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self.verb {
            Verb::Create(verb) => verb.run(shell).await,
            Verb::Ls(verb) => verb.run(shell).await,
            Verb::Ps(verb) => verb.run(shell).await,
            Verb::Inspect(verb) => verb.run(shell).await,
            Verb::Update(verb) => verb.run(shell).await,
            Verb::Rollback(verb) => verb.run(shell).await,
            Verb::Scale(verb) => verb.run(shell).await,
            Verb::Rm(verb) => verb.run(shell).await,
            Verb::Logs(verb) => verb.run(shell).await,
        }
    }
}
