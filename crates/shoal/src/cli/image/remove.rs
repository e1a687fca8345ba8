//! `shoal rmi` and `shoal image prune`.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::shell::Shell;
use super::super::verbs::{Image, Names, Object, PruneFlags, each, pruned};
use crate::client::{Filters, Query};
use crate::print::words::items;

/// Remove images.
#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// Also when containers that do not run use it, or it has several names
    #[arg(short, long)]
    force: bool,
    /// Keep parents without names
    #[arg(long)]
    no_prune: bool,
    #[command(flatten)]
    images: Names<Image>,
}

impl Remove {
    /// Removes them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let query = Query::new().with_flag("force", self.force).with_flag("noprune", self.no_prune);
        if self.force {
            let removed = |_: &str, answer: &Value| steps(answer).join("\n");
            return self.images.force_away(shell, query, removed).await;
        }
        each(&self.images.names, async |name| {
            let removed = shell.client.delete(&Image::KIND.path(name), &query).await?;
            Ok(steps(&removed).join("\n"))
        })
        .await
    }
}

/// What a removal did, a line each.
pub(in crate::cli) fn steps(removed: &Value) -> Vec<String> {
    let step = |step: &Value| {
        let word = |key: &str| Some(format!("{key}: {}", step.get(key)?.as_str()?));
        word("Untagged").or_else(|| word("Deleted"))
    };
    items(removed).filter_map(step).collect()
}

/// Remove images nobody uses.
#[derive(Debug, Args)]
pub(in crate::cli) struct Prune {
    /// Also those with names
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    flags: PruneFlags<Image>,
}

impl Prune {
    /// Removes them.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let question = if self.all {
            "This will remove all images without at least one container associated to them."
        } else {
            "This will remove all dangling images."
        };
        let dangling = if self.all { "false" } else { "true" };
        let filters = Filters::default().with("dangling", dangling);
        let Some(answer) = self.flags.run(shell, question, filters).await? else { return Ok(()) };
        let removed: Vec<Value> =
            steps(&answer["ImagesDeleted"]).into_iter().map(|step| json!(step)).collect();
        pruned("Deleted Images:", &Value::Array(removed), &answer)
    }
}
