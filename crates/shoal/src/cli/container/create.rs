//! `shoal create`, and the making of a container `run` shares.

use std::fs;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::super::exit::RunFailed;
use super::super::image::pull;
use super::super::shell::Shell;
use super::document::{Streams, create_document};
use super::options::Options;
use crate::client::{Query, refused_with};
use crate::print;
use crate::print::words::{items, text};

/// Make a container without starting it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    options: Options,
}

impl Create {
    /// Makes the container and prints its id.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let all = Streams { stdin: self.options.interactive, stdout: true, stderr: true };
        let id = make(shell, &self.options, all).await.map_err(RunFailed)?;
        Ok(print::line(id)?)
    }
}

/// Makes a container; pulls its image when it is missing.
///
/// # Errors
/// Flags that make no sense, and the daemon's refusals.
pub(super) async fn make(shell: &Shell, options: &Options, streams: Streams) -> Result<String> {
    let document = create_document(options, streams)?;
    if let Some(path) = &options.cidfile
        && path.exists()
    {
        return Err(anyhow!(
            "container ID file found, make sure the other container isn't running or delete {}",
            path.display()
        ));
    }
    let platform = options.platform.as_deref();
    if options.pull == "always" {
        pull::fetch(shell, &options.image, platform, options.quiet).await?;
    }
    let query =
        Query::new().with_some("name", options.name.as_ref()).with_some("platform", platform);
    let created = match shell.client.post("/containers/create", &query, &document).await {
        Err(error) if options.pull == "missing" && is_missing_image(&error) => {
            print::talk(format_args!("Unable to find image '{}' locally", options.image));
            pull::fetch(shell, &options.image, platform, options.quiet).await?;
            shell.client.post("/containers/create", &query, &document).await?
        }
        other => other?,
    };
    let id = text(&created, "Id").to_owned();
    for warning in items(&created["Warnings"]).filter_map(Value::as_str) {
        print::talk(format_args!("WARNING: {warning}"));
    }
    if let Some(path) = &options.cidfile {
        fs::write(path, &id).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(id)
}

fn is_missing_image(error: &anyhow::Error) -> bool {
    refused_with(error, StatusCode::NOT_FOUND) && error.to_string().to_lowercase().contains("image")
}
