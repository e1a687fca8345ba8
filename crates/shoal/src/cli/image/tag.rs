//! `shoal tag`.

use anyhow::Result;
use clap::Args;
use shoal_model::Reference;

use super::super::shell::Shell;
use crate::client::{Query, segment};

/// Give an image another name.
#[derive(Debug, Args)]
pub(in crate::cli) struct Tag {
    /// The image
    source: String,
    /// Its further name
    target: String,
}

impl Tag {
    /// Tags it.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let target = Reference::parse(&self.target)?;
        let query = Query::new()
            .with("repo", target.familiar_name())
            .with("tag", target.tag().unwrap_or("latest"));
        let path = format!("/images/{}/tag", segment(&self.source));
        shell.client.act(&path, &query).await.map(drop)
    }
}
