//! `prune`: removing what nobody uses, after a question.

use std::io;
use std::marker::PhantomData;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;
use shoal_model::units::human_size;

use super::Object;
use crate::cli::shell::Shell;
use crate::client::{Filters, Query};
use crate::print;
use crate::print::words::items;

/// The flags of every prune.
#[derive(Debug, Args)]
pub(in crate::cli) struct PruneFlags<K: Object> {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    #[arg(long, value_name = "NAME=VALUE", help = K::KIND.prune_filters)]
    filter: Vec<String>,
    #[arg(skip)]
    kind: PhantomData<K>,
}

impl<K: Object> PruneFlags<K> {
    /// Asks, and prunes; `more` filters come on top of those given. Nothing is
    /// returned when the answer was no.
    ///
    /// # Errors
    /// A filter without `=`, and the daemon's refusals.
    pub(in crate::cli) async fn run(
        &self,
        shell: &Shell,
        question: &str,
        more: Filters,
    ) -> Result<Option<Value>> {
        if !self.force && !confirm(question)? {
            return Ok(None);
        }
        let mut filters = Filters::parse(&self.filter)?;
        filters.extend(more);
        let query = Query::new().with_filters(&filters);
        shell.client.act(&format!("{}/prune", K::KIND.folder), &query).await.map(Some)
    }
}

/// Asks before something that cannot be undone; no answer is a no.
///
/// # Errors
/// When the answer cannot be read.
pub(in crate::cli) fn confirm(question: &str) -> Result<bool> {
    print::talk(format_args!("WARNING! {question}\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Prints what a prune removed, and how much room that made.
///
/// # Errors
/// When nobody reads any more.
pub(in crate::cli) fn pruned(title: &str, gone: &Value, answer: &Value) -> Result<()> {
    removed(title, gone)?;
    reclaimed(answer["SpaceReclaimed"].as_u64().unwrap_or_default())
}

/// Prints what is gone, under a title; nothing if that is nothing.
///
/// # Errors
/// When nobody reads any more.
pub(in crate::cli) fn removed(title: &str, gone: &Value) -> Result<()> {
    let mut gone = items(gone).filter_map(Value::as_str).peekable();
    if gone.peek().is_some() {
        print::line(title)?;
        gone.try_for_each(print::line)?;
        print::line("")?;
    }
    Ok(())
}

/// Prints how much room there is again.
///
/// # Errors
/// When nobody reads any more.
pub(in crate::cli) fn reclaimed(bytes: u64) -> Result<()> {
    Ok(print::line(format_args!("Total reclaimed space: {}", human_size(bytes)))?)
}
