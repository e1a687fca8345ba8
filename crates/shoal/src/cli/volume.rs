//! Volumes.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::container::pairs;
use super::shell::Shell;
use super::verbs::{Inspect, ListFlags, Names, PruneFlags, Volume, pruned, rows};
use crate::client::{Filters, Query};
use crate::print::words::text;
use crate::print::{self, column};

/// The verbs of volumes.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a volume
    Create(Create),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show everything about volumes
    Inspect(Inspect<Volume>),
    /// Remove volumes
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Remove volumes no container uses
    Prune(Prune),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Create(verb) => verb.run(shell).await,
            Self::Ls(verb) => verb.run(shell).await,
            Self::Inspect(verb) => verb.run(shell).await,
            Self::Rm(verb) => verb.run(shell).await,
            Self::Prune(verb) => verb.run(shell).await,
        }
    }
}

/// Make a volume.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The driver
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Set a label
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Option of the driver
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,
    /// Name of the volume [default: a random one]
    name: Option<String>,
}

impl Create {
    async fn run(self, shell: &Shell) -> Result<()> {
        let document = json!({
            "Name": self.name.unwrap_or_default(),
            "Driver": self.driver,
            "DriverOpts": pairs(&self.opt),
            "Labels": pairs(&self.label),
        });
        let volume = shell.client.post("/volumes/create", &Query::new(), &document).await?;
        Ok(print::line(text(&volume, "Name"))?)
    }
}

/// List volumes.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    shown: ListFlags<Volume>,
}

impl List {
    async fn run(self, shell: &Shell) -> Result<()> {
        let answer = shell.client.get("/volumes", &self.shown.query()?).await?;
        let rows = rows(&answer["Volumes"], Value::clone);
        let columns = vec![column("Driver", "DRIVER"), column("Name", "VOLUME NAME")];
        self.shown.print(columns, rows, "Name")
    }
}

/// Remove volumes.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// No error for one that is not there
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    volumes: Names<Volume>,
}

impl Remove {
    async fn run(self, shell: &Shell) -> Result<()> {
        self.volumes.remove(shell, Query::new().with_flag("force", self.force)).await
    }
}

/// Remove volumes no container uses.
#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Also those with names
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    flags: PruneFlags<Volume>,
}

impl Prune {
    async fn run(self, shell: &Shell) -> Result<()> {
        let mut filters = Filters::default();
        if self.all {
            filters.add("all", "true");
        }
        let question = "This will remove volumes not used by at least one container.";
        match self.flags.run(shell, question, filters).await? {
            Some(answer) => pruned("Deleted Volumes:", &answer["VolumesDeleted"], &answer),
            None => Ok(()),
        }
    }
}
