//! Volumes.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::confirm;
use super::container::{pairs, pruned};
use super::shell::{Shell, each, inspect};
use crate::client::{Filters, Query, segment};
use crate::print::words::text;
use crate::print::{self, Listing, column};

/// Volumes.
#[derive(Debug, Args)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a volume
    Create(Create),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(List),
    /// Show everything about volumes
    Inspect(Inspect),
    /// Remove volumes
    #[command(visible_alias = "remove")]
    Rm(Remove),
    /// Remove volumes no container uses
    Prune(Prune),
}

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self.verb {
            Verb::Create(verb) => verb.run(shell).await,
            Verb::Ls(verb) => verb.run(shell).await,
            Verb::Inspect(verb) => verb.run(shell).await,
            Verb::Rm(verb) => verb.run(shell).await,
            Verb::Prune(verb) => verb.run(shell).await,
        }
    }
}

#[derive(Debug, Args)]
struct Create {
    /// The driver
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Set a label
    #[arg(long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Option of the driver
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,
    /// Its name
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

#[derive(Debug, Args)]
struct List {
    /// Only those that match: name=…, dangling=…, label=…, driver=…
    #[arg(short, long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
    /// json, table TEMPLATE, or a template
    #[arg(long)]
    format: Option<String>,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
}

impl List {
    async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_filters(&Filters::parse(&self.filter)?);
        let answer = shell.client.get("/volumes", &query).await?;
        let volumes = answer["Volumes"].as_array().into_iter().flatten();
        let rows = volumes.filter_map(|volume| volume.as_object().cloned()).collect();
        let columns = vec![column("Driver", "DRIVER"), column("Name", "VOLUME NAME")];
        Listing { columns, rows, key: "Name" }.print(self.format.as_deref(), self.quiet)
    }
}

#[derive(Debug, Args)]
struct Inspect {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// The volumes
    #[arg(required = true)]
    names: Vec<String>,
}

impl Inspect {
    async fn run(self, shell: &Shell) -> Result<()> {
        let get = async |name: &str| {
            shell.client.get(&format!("/volumes/{}", segment(name)), &Query::new()).await
        };
        inspect(&self.names, self.format.as_deref(), get).await
    }
}

#[derive(Debug, Args)]
struct Remove {
    /// No error for one that is not there
    #[arg(short, long)]
    force: bool,
    /// The volumes
    #[arg(required = true)]
    names: Vec<String>,
}

impl Remove {
    async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_flag("force", self.force);
        each(&self.names, async |name| {
            shell.client.delete(&format!("/volumes/{}", segment(name)), &query).await?;
            Ok(name.to_owned())
        })
        .await
    }
}

#[derive(Debug, Args)]
struct Prune {
    /// Also those with names
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that match: label=…
    #[arg(long, value_name = "NAME=VALUE")]
    filter: Vec<String>,
}

impl Prune {
    async fn run(self, shell: &Shell) -> Result<()> {
        if !self.force && !confirm("This will remove volumes not used by at least one container.")?
        {
            return Ok(());
        }
        let mut filters = Filters::parse(&self.filter)?;
        if self.all {
            filters.add("all", "true");
        }
        let answer =
            shell.client.act("/volumes/prune", &Query::new().with_filters(&filters)).await?;
        let removed: &Value = &answer["VolumesDeleted"];
        pruned("Deleted Volumes:", removed, &answer)
    }
}
