//! Images.

mod list;
pub(super) mod pull;
mod remove;
mod tag;
mod transfer;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(super) use transfer::import;

use super::build::Build;
use super::shell::{Shell, inspect};
use crate::client::{Query, segment};

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
#[derive(Debug, Args)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    /// List images
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Remove images
    Rm(remove::Remove),
    /// Remove images nobody uses
    Prune(remove::Prune),
    /// Show everything about images
    Inspect(Inspect),
    /// Build an image from a Dockerfile
    Build(Build),
    #[command(flatten)]
    Verb(Verb),
}

#[derive(Debug, Args)]
struct Inspect {
    /// json, or a template
    #[arg(short, long)]
    format: Option<String>,
    /// The images
    #[arg(required = true)]
    images: Vec<String>,
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
        match self.verb {
            GroupVerb::Ls(verb) => verb.run(shell).await,
            GroupVerb::Rm(verb) => verb.run(shell).await,
            GroupVerb::Prune(verb) => verb.run(shell).await,
            GroupVerb::Inspect(verb) => verb.run(shell).await,
            GroupVerb::Build(verb) => verb.run(shell).await,
            GroupVerb::Verb(verb) => verb.run(shell).await,
        }
    }
}

impl Inspect {
    async fn run(self, shell: &Shell) -> Result<()> {
        let get = async |name: &str| {
            shell.client.get(&format!("/images/{}/json", segment(name)), &Query::new()).await
        };
        inspect(&self.images, self.format.as_deref(), get).await
    }
}
