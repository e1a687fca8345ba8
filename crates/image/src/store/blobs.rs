//! Content by digest: written aside, verified, then named.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use shoal_model::Digest;

use super::{Inner, Lease, Store};
use crate::{Error, Result};

/// Longest document.
const DOCUMENT_BYTES: u64 = 8 << 20;
/// Bytes read at once from whoever brings a blob.
const BUFFER: usize = 256 << 10;

impl Store {
    /// Stores bytes under their digest; the lease holds them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_blob(&self, mut input: impl Read, lease: &Lease) -> Result<(Digest, u64)> {
        let mut blob = self.inner.new_blob()?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = input.read(&mut buffer).map_err(Error::io("read blob"))?;
            if length == 0 {
                break;
            }
            blob.write_all(&buffer[..length]).map_err(Error::io("write blob"))?;
        }
        self.inner.commit_blob(blob.seal(), None, lease)
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        self.inner.open_blob(digest)
    }
}

impl Inner {
    pub(super) fn open_blob(&self, digest: &Digest) -> Result<File> {
        File::open(self.dirs.blob(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoSuchContent(digest.clone()),
            _ => Error::io(format!("open blob {digest}"))(error),
        })
    }

    /// A whole document.
    pub(super) fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.open_blob(digest)?.take(DOCUMENT_BYTES);
        file.read_to_end(&mut bytes).map_err(Error::io(format!("read blob {digest}")))?;
        Ok(bytes)
    }

    pub(super) fn has_blob(&self, digest: &Digest) -> bool {
        self.dirs.blob(digest).exists()
    }

    /// Stores a document.
    pub(super) fn put_bytes(&self, bytes: &[u8], lease: &Lease) -> Result<Digest> {
        let mut blob = self.new_blob()?;
        blob.write_all(bytes).map_err(Error::io("write blob"))?;
        Ok(self.commit_blob(blob.seal(), None, lease)?.0)
    }

    pub(super) fn new_blob(&self) -> Result<BlobWriter> {
        let path = self.dirs.ingest_path();
        let file =
            File::create_new(&path).map_err(Error::io(format!("create {}", path.display())))?;
        let aside = Aside { path, kept: false };
        Ok(BlobWriter { file, aside, sum: Sha256::new(), size: 0 })
    }

    /// Names a blob by the sum of its bytes, which must be `expected` if that
    /// is given.
    pub(super) fn commit_blob(
        &self,
        blob: Blob,
        expected: Option<&Digest>,
        lease: &Lease,
    ) -> Result<(Digest, u64)> {
        let Blob { mut aside, digest, size } = blob;
        if let Some(expected) = expected.filter(|&expected| *expected != digest) {
            return Err(Error::DigestMismatch {
                what: "blob".into(),
                expected: expected.clone(),
                actual: digest,
            });
        }
        // Under the lock of the collector: named and held at once.
        let mut state = self.state();
        let place = self.dirs.blob(&digest);
        // One that is here, whole, is as durable as it was.
        let is_new = fs::metadata(&place).map_or(true, |there| there.len() != size);
        if is_new {
            fs::rename(&aside.path, place).map_err(Error::io(format!("store blob {digest}")))?;
            aside.kept = true;
        }
        state.hold_blob(lease.id(), &digest);
        drop(state);
        if is_new {
            self.note_stored();
        }
        Ok((digest, size))
    }
}

/// A file in `ingest`, removed when dropped unless it was renamed.
struct Aside {
    path: PathBuf,
    kept: bool,
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A blob being written, in `ingest`.
pub(super) struct BlobWriter {
    file: File,
    aside: Aside,
    sum: Sha256,
    size: u64,
}

impl BlobWriter {
    /// Bytes written so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// No more bytes: the blob with its digest, still in `ingest`.
    pub(super) fn seal(self) -> Blob {
        let digest = Digest::sha256(self.sum.finalize().into());
        Blob { aside: self.aside, digest, size: self.size }
    }
}

/// A whole blob in `ingest`.
pub(super) struct Blob {
    aside: Aside,
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) size: u64,
}

impl Blob {
    /// Where it is until it is committed.
    pub(super) fn path(&self) -> &Path {
        &self.aside.path
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
