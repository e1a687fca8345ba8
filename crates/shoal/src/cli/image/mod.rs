//! Images.

mod list;
pub(super) mod pull;
mod remove;
mod tag;
mod transfer;

use anyhow::Result;
use clap::Subcommand;

pub(super) use remove::steps as removal_steps;
pub(super) use transfer::import;

use super::build::Build;
use super::shell::Shell;
use super::verbs::{Image, Inspect};

/// The verbs of images that stand at the top.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List images
    Images(list::List),
    /// Remove images
    Rmi(remove::Remove),
    /// Give an image another name
    Tag(tag::Tag),
    /// Pull an image from a registry
    Pull(pull::Pull),
    /// Push an image to a registry
    Push(pull::Push),
    /// Write images to an archive
    Save(transfer::Save),
    /// Read images from an archive
    Load(transfer::Load),
    /// Make an image of the tar of a root file system
    Import(transfer::Import),
    /// Show how an image came about
    History(list::History),
}

/// Images, by docker's longer names.
#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// List images
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Remove images
    Rm(remove::Remove),
    /// Remove images nobody uses
    Prune(remove::Prune),
    /// Show everything about images
    Inspect(Inspect<Image>),
    /// Build an image from a Dockerfile
    Build(Build),
    #[command(flatten)]
    Verb(Verb),
}

impl Verb {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Images(verb) => verb.run(shell).await,
            Self::Rmi(verb) => verb.run(shell).await,
            Self::Tag(verb) => verb.run(shell).await,
            Self::Pull(verb) => verb.run(shell).await,
            Self::Push(verb) => verb.run(shell).await,
            Self::Save(verb) => verb.run(shell).await,
            Self::Load(verb) => verb.run(shell).await,
            Self::Import(verb) => verb.run(shell).await,
            Self::History(verb) => verb.run(shell).await,
        }
    }
}

impl Group {
    /// Runs the verb.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        match self {
            Self::Ls(verb) => verb.run(shell).await,
            Self::Rm(verb) => verb.run(shell).await,
            Self::Prune(verb) => verb.run(shell).await,
            Self::Inspect(verb) => verb.run(shell).await,
            Self::Build(verb) => verb.run(shell).await,
            Self::Verb(verb) => verb.run(shell).await,
        }
    }
}
