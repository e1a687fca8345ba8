//! From what people write to an image.

use shoal_model::{Digest, Reference, ReferenceError};

use super::{Lease, State, Store};
use crate::{Error, Image, Result};

impl Store {
    /// The image called so: `name[:tag]`, `name@digest`, id or prefix of an id.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn resolve(&self, name_or_id: &str) -> Result<Image> {
        let state = self.inner.state();
        let id = state.find(name_or_id)?;
        state.image(&id).ok_or_else(|| Error::NoSuchImage(name_or_id.into()))
    }

    /// The id of the image called so, as [`Store::resolve`] finds it, without the rest of it.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn id_of(&self, name_or_id: &str) -> Result<Digest> {
        self.inner.state().find(name_or_id)
    }

    /// As [`Store::resolve`]; the lease holds the image from the same moment
    /// on, so that nobody removes its content in between.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn resolve_and_lease(&self, name_or_id: &str, lease: &Lease) -> Result<Image> {
        let mut state = self.inner.state();
        let id = state.find(name_or_id)?;
        let image = state.image(&id).ok_or_else(|| Error::NoSuchImage(name_or_id.into()))?;
        state.hold_image(lease.id(), &image);
        Ok(image)
    }

    /// The image with this id.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn get(&self, id: &Digest) -> Result<Image> {
        self.inner.state().image(id).ok_or_else(|| Error::NoSuchImage(id.to_string()))
    }
}

impl State {
    /// Docker's order: a whole id, a name, the beginning of an id.
    pub(super) fn find(&self, text: &str) -> Result<Digest> {
        let whole = if text.len() == 64 { format!("sha256:{text}") } else { text.into() };
        if let Ok(id) = whole.parse::<Digest>() {
            let known = self.index.images.contains_key(&id);
            return if known { Ok(id) } else { Err(Error::NoSuchImage(whole)) };
        }
        let name = Reference::parse(text);
        if let Ok(name) = &name
            && let Some(id) = self.index.named(name)
        {
            return Ok(id.clone());
        }
        if let Some(id) = self.find_prefix(text) {
            return Ok(id);
        }
        match name {
            Ok(name) => Err(Error::NoSuchImage(name.with_default_tag().familiar())),
            Err(ReferenceError::HexId(_)) => Err(Error::NoSuchImage(text.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// The only image whose id begins so.
    fn find_prefix(&self, text: &str) -> Option<Digest> {
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut found = self.index.images.keys().filter(|id| id.hex().starts_with(prefix));
        let first = found.next()?;
        found.next().is_none().then(|| first.clone())
    }
}
