//! The build cache.

use anyhow::Result;
use clap::{Args, Subcommand};
use shoal_model::units::parse_bytes;

use super::shell::Shell;
use super::verbs::{confirm, pruned};
use crate::client::{Filters, Query};

/// The verbs of the build cache.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Forget steps that builds need not run again
    Prune(Prune),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Prune(verb) => verb.run(shell).await,
        }
    }
}

/// Forget steps that builds need not run again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal builder prune                               steps of images that are gone
  shoal builder prune -a --filter until=24h         all that no build has used for a day")]
pub(super) struct Prune {
    /// Also steps of images that are here
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that match: until=24h, id=…, description=…, shared=…
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// Let this much stay, as 2g
    #[arg(long, value_name = "BYTES", value_parser = bytes, visible_alias = "reserved-space")]
    keep_storage: Option<u64>,
}

impl Prune {
    async fn run(self, shell: &Shell) -> Result<()> {
        let question = match self.all {
            true => "This will remove all build cache.",
            false => "This will remove all dangling build cache.",
        };
        let query = Query::new()
            .with_flag("all", self.all)
            .with_some("keep-storage", self.keep_storage)
            .with_filters(&Filters::parse(&self.filter)?);
        if !self.force && !confirm(question)? {
            return Ok(());
        }
        let answer = shell.client.act("/build/prune", &query).await?;
        pruned("Deleted build cache objects:", &answer["CachesDeleted"], &answer)
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).map_err(|error| error.to_string())
}
