//! An image from the tar of a root file system.

use std::io::Read;

use shoal_model::{Platform, Reference, Timestamp};

use super::Store;
use crate::{History, Image, ImageConfig, Result, RunConfig};

/// Docker's remark when none is given.
const DEFAULT_MESSAGE: &str = "Imported from -";

/// What an imported root file system becomes.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Result of `--change`, already parsed.
    pub config: RunConfig,
    /// `--message`; Docker's default names the source.
    pub message: String,
    /// `--platform`; the host's if unset.
    pub platform: Option<Platform>,
    /// Now.
    pub created: Timestamp,
}

impl Store {
    /// Makes an image of one layer from the tar of a root file system.
    ///
    /// # Errors
    /// [`crate::Error::Layer`].
    pub fn import(
        &self,
        input: impl Read + Send,
        options: ImportOptions,
        target: Option<&Reference>,
    ) -> Result<Image> {
        let ImportOptions { config: run, message, platform, created } = options;
        let lease = self.lease();
        let layer = self.put_layer(input, &lease)?;
        let message = if message.is_empty() { DEFAULT_MESSAGE.into() } else { message };
        let mut config = ImageConfig::new(&platform.unwrap_or_else(Platform::host));
        config.config = run;
        config.comment.clone_from(&message);
        config.created = Some(created.rfc3339_nano());
        config.history = vec![History {
            created: config.created.clone(),
            comment: message,
            ..History::default()
        }];
        let tags: Vec<Reference> =
            target.map(|target| target.clone().with_default_tag()).into_iter().collect();
        self.put_image(config, &[layer.diff_id], &tags, None)
    }
}
