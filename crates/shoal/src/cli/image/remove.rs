//! `shoal rmi` and `shoal image prune`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::confirm;
use super::super::container::pruned;
use super::super::shell::{Shell, each};
use crate::client::{Filters, Query, segment};

/// Remove images.
#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// Also when containers that do not run use it, or it has several names
    #[arg(short, long)]
    force: bool,
    /// Keep parents without names
    #[arg(long)]
    no_prune: bool,
    /// Names or ids
    #[arg(required = true)]
    images: Vec<String>,
}

impl Remove {
    /// Removes them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_flag("force", self.force).with_flag("noprune", self.no_prune);
        each(&self.images, async |name| {
            let removed =
                shell.client.delete(&format!("/images/{}", segment(name)), &query).await?;
            Ok(steps(&removed).join("\n"))
        })
        .await
    }
}

fn steps(removed: &Value) -> Vec<String> {
    let step = |step: &Value| {
        let word = |key: &str| Some(format!("{key}: {}", step.get(key)?.as_str()?));
        word("Untagged").or_else(|| word("Deleted"))
    };
    removed.as_array().into_iter().flatten().filter_map(step).collect()
}

/// Remove images nobody uses.
#[derive(Debug, Args)]
pub(in crate::cli) struct Prune {
    /// Also those with names
    #[arg(short, long)]
    all: bool,
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
        let question = if self.all {
            "This will remove all images without at least one container associated to them."
        } else {
            "This will remove all dangling images."
        };
        if !self.force && !confirm(question)? {
            return Ok(());
        }
        let filters =
            Filters::parse(&self.filter)?.with("dangling", if self.all { "false" } else { "true" });
        let query = Query::new().with_filters(&filters);
        let answer = shell.client.act("/images/prune", &query).await?;
        let removed: Vec<Value> =
            steps(&answer["ImagesDeleted"]).into_iter().map(|step| json!(step)).collect();
        pruned("Deleted Images:", &Value::Array(removed), &answer)
    }
}
