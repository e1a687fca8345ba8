//! Blobs, and which repository has which.

use std::{fs, fs::File, io, path::PathBuf};

use shoal_model::Digest;

use super::{Storage, remove};
use crate::registry::route::Name;

impl Storage {
    /// The size of a blob, if the repository has it.
    pub(in crate::registry) fn blob_size(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> io::Result<Option<u64>> {
        if !self.blob_link(name, digest).exists() {
            return Ok(None);
        }
        self.size(digest)
    }

    /// Opens a blob the repository has.
    pub(in crate::registry) fn open_blob(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> io::Result<Option<(File, u64)>> {
        let Some(size) = self.blob_size(name, digest)? else { return Ok(None) };
        Ok(Some((File::open(self.blob(digest))?, size)))
    }

    /// Takes a blob over from another repository; whether that has it.
    pub(in crate::registry) fn mount(
        &self,
        name: &Name,
        from: &Name,
        digest: &Digest,
    ) -> io::Result<bool> {
        if self.blob_size(from, digest)?.is_none() {
            return Ok(false);
        }
        self.link_blob(name, digest)?;
        Ok(true)
    }

    /// Takes a blob away from the repository; whether it had it.
    pub(in crate::registry) fn unlink_blob(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> io::Result<bool> {
        remove(&self.blob_link(name, digest))
    }

    pub(super) fn link_blob(&self, name: &Name, digest: &Digest) -> io::Result<()> {
        let link = self.blob_link(name, digest);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        File::create(link).map(drop)
    }

    pub(super) fn size(&self, digest: &Digest) -> io::Result<Option<u64>> {
        match fs::metadata(self.blob(digest)) {
            Ok(status) => Ok(Some(status.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn blob_link(&self, name: &Name, digest: &Digest) -> PathBuf {
        self.repository(name).join("_layers").join(digest.hex())
    }
}
