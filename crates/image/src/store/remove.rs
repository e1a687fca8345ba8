//! Removing names and images, with Docker's rules: a name given is untagged;
//! the image goes with its last name; what containers use is protected.

use sha2::{Digest as _, Sha256};
use shoal_model::{Digest, Reference};

use super::{Store, index::Names};
use crate::{Error, ImageUse, Removed, Result};

/// Characters of a container id in a message.
const SHORT_ID: usize = 12;

/// Tells which containers use an image.
type InUse<'a> = &'a dyn Fn(&Digest) -> Vec<ImageUse>;

/// Which conflicts stand against a deletion.
#[derive(Clone, Copy)]
struct Heed {
    /// Containers that do not run.
    stopped: bool,
    /// Several names.
    names: bool,
}

impl Store {
    /// Docker's `rmi`: a name given is untagged; the image goes with its last
    /// name. `in_use` tells which containers use an image.
    ///
    /// # Errors
    /// Docker's conflicts: [`crate::Error::ReferenceInUse`], [`crate::Error::CannotDelete`].
    pub fn remove(
        &self,
        name_or_id: &str,
        force: bool,
        prune_parents: bool,
        in_use: &dyn Fn(&Digest) -> Vec<ImageUse>,
    ) -> Result<Vec<Removed>> {
        let id = self.inner.state().find(name_or_id)?;
        let names = self.inner.state().index.names_of(&id);
        let mut removed = Vec::new();
        let mut heed = Heed { stopped: !force, names: !force };
        if is_id_prefix(&id, name_or_id) {
            heed.names &= !is_single(&names);
            self.check(&id, heed, in_use)?;
        } else {
            let name = Reference::parse(name_or_id)?.with_default_tag();
            if !force && is_single(&names) {
                refuse_last_name(&id, name_or_id, in_use)?;
            }
            self.untag_name(&id, &name, &mut removed)?;
            let left = self.inner.state().index.names_of(&id);
            if !left.is_empty() {
                return Ok(removed);
            }
            // The name is gone and that is what was asked for: an image that
            // others build upon or run on stays without one, as in Docker.
            if self.check(&id, heed, in_use).is_err() {
                return Ok(removed);
            }
        }
        self.delete(&id, prune_parents, in_use, &mut removed)?;
        Ok(removed)
    }

    /// Takes one name away. With the last tag of a repository go the digests
    /// that were known for it.
    fn untag_name(&self, id: &Digest, name: &Reference, removed: &mut Vec<Removed>) -> Result<()> {
        let gone = self.inner.update(|index| {
            let exact = match name.digest() {
                Some(digest) => name.without_suffix().with_digest(digest.clone()),
                None => name.clone(),
            };
            let mut gone = Vec::new();
            if index.untag(&exact) {
                gone.push(exact);
            }
            if name.digest().is_none() {
                let left = index.names_of(id);
                let same = |other: &&Reference| other.name() == name.name();
                if !left.tags.iter().any(|tag| same(&tag)) {
                    for digest in left.digests.iter().filter(same) {
                        index.untag(digest);
                        gone.push(digest.clone());
                    }
                }
            }
            Ok(gone)
        })?;
        removed.extend(gone.iter().map(|name| Removed::Untagged(name.familiar())));
        Ok(())
    }

    /// Removes an image, which was checked, with all its names, its layers and,
    /// if nothing else needs them, the nameless images it was built upon.
    fn delete(
        &self,
        id: &Digest,
        prune_parents: bool,
        in_use: InUse<'_>,
        removed: &mut Vec<Removed>,
    ) -> Result<()> {
        let (chain, parent) = {
            let state = self.inner.state();
            let image = state.image(id).ok_or_else(|| Error::NoSuchImage(id.to_string()))?;
            (chain_ids(&image.layers), image.parent)
        };
        let names = self.inner.update(|index| {
            let names = index.names_of(id);
            for name in names.all() {
                index.untag(name);
            }
            index.images.remove(id);
            Ok(names)
        })?;
        removed.extend(names.all().map(|name| Removed::Untagged(name.familiar())));
        removed.push(Removed::Deleted(id.clone()));
        let swept = self.inner.sweep()?;
        let gone = chain.into_iter().rev().filter(|(layer, _)| swept.layers.contains(layer));
        removed.extend(gone.map(|(_, chain)| Removed::Deleted(chain)));
        if prune_parents && let Some(parent) = parent {
            let dangling = {
                let index = &self.inner.state().index;
                index.images.contains_key(&parent) && index.names_of(&parent).is_empty()
            };
            let strict = Heed { stopped: true, names: true };
            if dangling && self.check(&parent, strict, in_use).is_ok() {
                self.delete(&parent, true, in_use, removed)?;
            }
        }
        Ok(())
    }

    fn check(&self, id: &Digest, heed: Heed, in_use: InUse<'_>) -> Result<()> {
        let (has_children, names) = {
            let state = self.inner.state();
            (state.index.has_children(id), state.index.names_of(id))
        };
        let conflict = |hard: bool, reason: String| {
            Err(Error::CannotDelete { image: id.short().into(), hard, reason })
        };
        if has_children {
            return conflict(true, "image has dependent child images".into());
        }
        let users = in_use(id);
        if let Some(user) = users.iter().find(|user| user.running) {
            let container = short(&user.container);
            return conflict(true, format!("image is being used by running container {container}"));
        }
        if heed.names && names.all().count() > 1 {
            return conflict(false, "image is referenced in multiple repositories".into());
        }
        if heed.stopped
            && let Some(user) = users.first()
        {
            let container = short(&user.container);
            return conflict(
                false,
                format!("image is being used by stopped container {container}"),
            );
        }
        Ok(())
    }
}

fn refuse_last_name(id: &Digest, reference: &str, in_use: InUse<'_>) -> Result<()> {
    match in_use(id).first() {
        Some(user) => Err(Error::ReferenceInUse {
            reference: reference.into(),
            container: short(&user.container).into(),
            image: id.short().into(),
        }),
        None => Ok(()),
    }
}

fn short(container: &str) -> &str {
    container.get(..SHORT_ID).unwrap_or(container)
}

/// Whether the text names the image by its id.
fn is_id_prefix(id: &Digest, text: &str) -> bool {
    id.as_str().starts_with(text) || id.hex().starts_with(text)
}

/// At most one tag, and all names in one repository.
fn is_single(names: &Names) -> bool {
    let mut repositories = names.all().map(Reference::name);
    let first = repositories.next();
    names.tags.len() <= 1 && repositories.all(|name| Some(&name) == first.as_ref())
}

/// Each layer with the id Docker prints for it: the chain of all digests up to
/// it (OCI image-spec, "Layer ChainID"), lowest first.
fn chain_ids(layers: &[Digest]) -> Vec<(Digest, Digest)> {
    let mut found: Vec<(Digest, Digest)> = Vec::new();
    for layer in layers {
        let chain = match found.last() {
            None => layer.clone(),
            Some((_, below)) => Digest::sha256(Sha256::digest(format!("{below} {layer}")).into()),
        };
        found.push((layer.clone(), chain));
    }
    found
}
