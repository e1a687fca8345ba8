//! What every verb needs.

use anyhow::Result;

use crate::client::{Client, DockerConfig};

/// What every verb needs.
#[derive(Debug)]
pub(super) struct Shell {
    /// The daemon.
    pub(super) client: Client,
}

impl Shell {
    /// The value of `X-Registry-Auth` for an image's registry.
    ///
    /// # Errors
    /// When the name or docker's configuration cannot be read.
    pub(super) fn registry_auth(&self, image: &str) -> Result<String> {
        let reference = shoal_model::Reference::parse(image)?;
        Ok(DockerConfig::load()?.credentials(reference.domain())?.header())
    }
}
