//! `shoal demo`: the crawler story on a local cluster, told and checked.
//!
//! Every command it shows is one a user could have typed; every number it
//! prints was measured around that command; every claim is checked through
//! the API or in Redis, and a claim that does not hold ends the demo with an
//! error. Whatever happens, the cluster is removed.

mod checks;
mod images;
mod queue;
mod report;
mod rootfs;
mod stage;
mod story;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args as ClapArgs;

use stage::Stage;

/// Run the crawler story on a local three-node cluster.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "It makes a cluster, a private registry, a Redis and an image with a spider,
scales the spider 1, 3, 50, 500, loses a machine, rolls out a new version,
scales to 0, and removes it all. Takes about two minutes; needs root."
)]
pub(crate) struct Args {
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    nodes: u8,
    /// Replicas at the peak
    #[arg(long, default_value_t = 500, value_name = "NUMBER")]
    peak: u64,
    /// The Python form of the crawler: pulls images and packages
    #[arg(long)]
    python: bool,
    /// Where the crawler's examples are, instead of those built in
    #[arg(long, value_name = "DIRECTORY")]
    examples: Option<PathBuf>,
    /// Keep the cluster for a look around
    #[arg(long)]
    keep: bool,
}

/// Runs the demo. To be called before there is a runtime or a second thread.
pub(crate) fn run(args: &Args) -> Result<()> {
    let stage = Stage::build(args.nodes)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(story::tell(&stage, args));
    if args.keep {
        crate::print::talk(format_args!("\nthe cluster is kept: {}", stage.docker_host()));
        crate::print::talk(format_args!("remove it with `shoal cluster rm {}`", stage.name()));
        stage.keep();
    } else {
        let removed = stage.remove().context("the demo left something behind");
        // The story's own failure says more than what came of it.
        if told.is_ok() {
            removed?;
        }
    }
    let report = told?;
    crate::print::line(report)?;
    Ok(())
}
