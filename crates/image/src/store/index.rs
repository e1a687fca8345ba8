//! Images and their names, as one document: a tag that moves and the image it
//! moves to must appear together.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
};

use serde::{Deserialize, Serialize};
use shoal_model::{Digest, Reference, Timestamp};

use super::dirs::Dirs;
use crate::{Error, Result};

/// The document's format; a daemon refuses one it does not know.
const VERSION: u32 = 1;

/// All images and names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Index {
    version: u32,
    pub(super) images: BTreeMap<Digest, ImageRecord>,
    /// `domain/path:tag`.
    pub(super) tags: BTreeMap<Reference, Digest>,
    /// `domain/path@digest`, where the digest is a manifest's or an index's.
    pub(super) digests: BTreeMap<Reference, Digest>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            version: VERSION,
            images: BTreeMap::new(),
            tags: BTreeMap::new(),
            digests: BTreeMap::new(),
        }
    }
}

/// What is known of an image beyond its document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_tagged: Option<Timestamp>,
    /// Manifests of the image, as a registry has them; kept as blobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) manifests: Vec<Digest>,
}

/// The names of one image.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) tags: Vec<Reference>,
    pub(super) digests: Vec<Reference>,
}

impl Names {
    /// All of them, tags first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Reference> {
        self.tags.iter().chain(&self.digests)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }
}

impl Index {
    pub(super) fn read(dirs: &Dirs) -> Result<Self> {
        let path = dirs.index();
        let what = || path.display().to_string();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io(format!("read {}", path.display()))(error)),
        };
        let index: Self =
            serde_json::from_slice(&bytes).map_err(|error| Error::invalid(what(), error))?;
        if index.version != VERSION {
            let reason = format!("written by another version ({})", index.version);
            return Err(Error::invalid(what(), reason));
        }
        Ok(index)
    }

    pub(super) fn write(&self, dirs: &Dirs) -> Result<()> {
        let bytes =
            serde_json::to_vec(self).map_err(|error| Error::invalid("image index", error))?;
        dirs.write(&dirs.index(), &bytes)
    }

    /// The image a name stands for: the digest where it has one, else the tag.
    pub(super) fn named(&self, name: &Reference) -> Option<&Digest> {
        match name.digest() {
            Some(digest) => self.digests.get(&name.without_suffix().with_digest(digest.clone())),
            None => self.tags.get(&name.clone().with_default_tag()),
        }
    }

    pub(super) fn names_of(&self, id: &Digest) -> Names {
        let names = |map: &BTreeMap<Reference, Digest>| {
            map.iter().filter(|(_, image)| *image == id).map(|(name, _)| name.clone()).collect()
        };
        Names { tags: names(&self.tags), digests: names(&self.digests) }
    }

    /// The names of every image that has one.
    pub(super) fn all_names(&self) -> HashMap<&Digest, Names> {
        let mut found: HashMap<&Digest, Names> = HashMap::new();
        for (name, id) in &self.tags {
            found.entry(id).or_default().tags.push(name.clone());
        }
        for (name, id) in &self.digests {
            found.entry(id).or_default().digests.push(name.clone());
        }
        found
    }

    /// Takes a name away; whether it was there.
    pub(super) fn untag(&mut self, name: &Reference) -> bool {
        match name.digest() {
            Some(_) => self.digests.remove(name).is_some(),
            None => self.tags.remove(name).is_some(),
        }
    }

    /// Images built upon this one here.
    pub(super) fn has_children(&self, id: &Digest) -> bool {
        self.images.values().any(|record| record.parent.as_ref() == Some(id))
    }
}
