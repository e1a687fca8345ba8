//! Another name for an image.

use shoal_model::Reference;

use super::Store;
use crate::{Error, Result};

impl Store {
    /// Gives an image another name; takes that name from whoever had it.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`], [`crate::Error::TagWithDigest`].
    pub fn tag(&self, source: &str, target: &Reference) -> Result<()> {
        if target.digest().is_some() {
            return Err(Error::TagWithDigest);
        }
        let id = self.inner.state().find(source)?;
        let now = super::now();
        self.inner.update(|index| {
            let record =
                index.images.get_mut(&id).ok_or_else(|| Error::NoSuchImage(source.into()))?;
            record.last_tagged = Some(now);
            index.tags.insert(target.clone().with_default_tag(), id.clone());
            Ok(())
        })
    }
}
