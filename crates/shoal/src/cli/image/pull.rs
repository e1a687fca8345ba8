//! `shoal pull` and `shoal push`.

use anyhow::Result;
use clap::Args;
use http::Method;
use shoal_model::Reference;

use super::super::shell::Shell;
use crate::client::{Query, documents, empty, segment};
use crate::print::{self, Progress};

/// Pull an image from a registry.
#[derive(Debug, Args)]
pub(in crate::cli) struct Pull {
    /// All tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Platform (linux/amd64)
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM")]
    platform: Option<String>,
    /// Say only the image's name
    #[arg(short, long)]
    quiet: bool,
    /// The image
    image: String,
}

impl Pull {
    /// Pulls it.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let reference = Reference::parse(&self.image)?;
        let (name, tag) = match (self.all_tags, reference.digest()) {
            (true, _) => (reference.name(), None),
            (false, Some(digest)) => (reference.name(), Some(digest.to_string())),
            (false, None) => {
                if reference.tag().is_none() && !self.quiet {
                    print::line("Using default tag: latest")?;
                }
                (reference.name(), Some(reference.tag().unwrap_or("latest").to_owned()))
            }
        };
        let query = Query::new()
            .with("fromImage", name)
            .with_some("tag", tag)
            .with_some("platform", self.platform.as_ref());
        send(shell, "/images/create", query, &self.image, self.quiet).await?;
        Ok(print::line(reference.with_default_tag())?)
    }
}

/// Pulls an image before it is used.
///
/// # Errors
/// The registry's refusals.
pub(in crate::cli) async fn fetch(
    shell: &Shell,
    image: &str,
    platform: Option<&str>,
    quiet: bool,
) -> Result<()> {
    let reference = Reference::parse(image)?;
    let tag = match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    };
    let query = Query::new()
        .with("fromImage", reference.name())
        .with("tag", tag)
        .with_some("platform", platform);
    send(shell, "/images/create", query, image, quiet).await
}

/// Push an image to a registry.
#[derive(Debug, Args)]
pub(in crate::cli) struct Push {
    /// All tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Say only the image's name
    #[arg(short, long)]
    quiet: bool,
    /// The image
    image: String,
}

impl Push {
    /// Pushes it.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let reference = Reference::parse(&self.image)?;
        let query = match (self.all_tags, reference.tag()) {
            (true, _) => Query::new(),
            (false, tag) => Query::new().with("tag", tag.unwrap_or("latest")),
        };
        let path = format!("/images/{}/push", segment(&reference.name()));
        send(shell, &path, query, &self.image, self.quiet).await?;
        if self.quiet {
            print::line(reference.with_default_tag())?;
        }
        Ok(())
    }
}

async fn send(shell: &Shell, path: &str, query: Query, image: &str, quiet: bool) -> Result<()> {
    let auth = shell.registry_auth(image)?;
    let headers = [("x-registry-auth", auth.as_str())];
    let response = shell.client.send(Method::POST, path, &query, empty(), &headers).await?;
    Progress::new(quiet).follow(documents(response), |_| ()).await
}
