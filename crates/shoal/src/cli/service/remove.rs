//! `shoal service rm`.

use anyhow::Result;
use clap::Args;

use super::super::shell::{Shell, each};
use crate::client::{Query, segment};

/// Remove services.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The services
    #[arg(required = true)]
    services: Vec<String>,
}

impl Remove {
    /// Removes them.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        each(&self.services, async |name| {
            shell.client.delete(&format!("/services/{}", segment(name)), &Query::new()).await?;
            Ok(name.to_owned())
        })
        .await
    }
}
