//! Manifests, tags, and manifests about manifests.

use std::{
    fs, io,
    path::PathBuf,
    sync::{MutexGuard, PoisonError},
};

use shoal_model::Digest;

use super::{Storage, names_in, remove};
use crate::registry::route::{ManifestReference, Name, Tag};

/// A manifest of a repository.
pub(in crate::registry) struct Stored {
    pub(in crate::registry) digest: Digest,
    pub(in crate::registry) media_type: String,
    pub(in crate::registry) bytes: Vec<u8>,
}

impl Storage {
    /// The manifest under a tag or digest.
    pub(in crate::registry) fn manifest(
        &self,
        name: &Name,
        reference: &ManifestReference,
    ) -> io::Result<Option<Stored>> {
        let digest = match reference {
            ManifestReference::Digest(digest) => Some(digest.clone()),
            ManifestReference::Tag(tag) => self.tagged(name, tag)?,
        };
        let Some(digest) = digest else { return Ok(None) };
        let Some(media_type) = read(&self.revision(name, &digest))? else { return Ok(None) };
        let bytes = fs::read(self.blob(&digest))?;
        let media_type = String::from_utf8_lossy(&media_type).into_owned();
        Ok(Some(Stored { digest, media_type, bytes }))
    }

    pub(in crate::registry) fn has_manifest(&self, name: &Name, digest: &Digest) -> bool {
        self.revision(name, digest).exists()
    }

    /// Stores a manifest: content, then what names it, the tag last.
    pub(in crate::registry) fn put_manifest(
        &self,
        name: &Name,
        stored: &Stored,
        tag: Option<&Tag>,
        subject: Option<&Digest>,
    ) -> io::Result<()> {
        let _changing = self.changing();
        let blob = self.blob(&stored.digest);
        if !blob.exists() {
            self.write(&blob, &stored.bytes)?;
        }
        self.write(&self.revision(name, &stored.digest), stored.media_type.as_bytes())?;
        if let Some(subject) = subject {
            self.write(&self.referrers(name, subject).join(stored.digest.hex()), b"")?;
        }
        match tag {
            Some(tag) => self.write(&self.tag(name, tag), stored.digest.as_str().as_bytes()),
            None => Ok(()),
        }
    }

    /// Takes a tag away, or a manifest with all its tags; whether it was there.
    pub(in crate::registry) fn delete_manifest(
        &self,
        name: &Name,
        reference: &ManifestReference,
        subject: Option<&Digest>,
    ) -> io::Result<bool> {
        let _changing = self.changing();
        let digest = match reference {
            ManifestReference::Tag(tag) => return remove(&self.tag(name, tag)),
            ManifestReference::Digest(digest) => digest,
        };
        for tag in self.tags(name)?.unwrap_or_default() {
            if self.tagged(name, &tag)?.as_ref() == Some(digest) {
                remove(&self.tag(name, &tag))?;
            }
        }
        if let Some(subject) = subject {
            remove(&self.referrers(name, subject).join(digest.hex()))?;
        }
        remove(&self.revision(name, digest))
    }

    /// All tags, sorted; `None` if there is no such repository.
    pub(in crate::registry) fn tags(&self, name: &Name) -> io::Result<Option<Vec<Tag>>> {
        let names = names_in(&self.repository(name).join("_manifests/tags"))?;
        if names.is_empty() && !self.repository(name).join("_manifests").exists() {
            return Ok(None);
        }
        Ok(Some(names.iter().filter_map(|name| name.parse().ok()).collect()))
    }

    /// Names of all repositories that have a manifest, sorted.
    pub(in crate::registry) fn repositories(&self) -> io::Result<Vec<String>> {
        let root = self.root.join("repositories");
        let mut found = Vec::new();
        for path in self.repository_paths()? {
            let has_manifest = !names_in(&path.join("_manifests/revisions"))?.is_empty();
            let name = path.strip_prefix(&root).ok().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|_| has_manifest) {
                found.push(name.to_owned());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Manifests whose subject is `digest`.
    pub(in crate::registry) fn referrers_of(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> io::Result<Vec<Stored>> {
        let mut found = Vec::new();
        for hex in names_in(&self.referrers(name, digest))? {
            if let Ok(digest) = format!("sha256:{hex}").parse() {
                found.extend(self.manifest(name, &ManifestReference::Digest(digest))?);
            }
        }
        Ok(found)
    }

    fn tagged(&self, name: &Name, tag: &Tag) -> io::Result<Option<Digest>> {
        let text = read(&self.tag(name, tag))?;
        Ok(text.and_then(|text| String::from_utf8(text).ok()?.parse().ok()))
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&self, name: &Name, tag: &Tag) -> PathBuf {
        self.repository(name).join("_manifests/tags").join(tag.as_str())
    }

    fn revision(&self, name: &Name, digest: &Digest) -> PathBuf {
        self.repository(name).join("_manifests/revisions").join(digest.hex())
    }

    fn referrers(&self, name: &Name, digest: &Digest) -> PathBuf {
        self.repository(name).join("_referrers").join(digest.hex())
    }
}

fn read(path: &std::path::Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
