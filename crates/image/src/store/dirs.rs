//! Places on disk, and making things aside before they appear.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use shoal_model::Digest;

use crate::{Error, Result};

/// The directories of one store.
pub(super) struct Dirs {
    root: PathBuf,
    next: AtomicU64,
}

impl Dirs {
    /// Makes what is missing and removes what was left half done.
    pub(super) fn prepare(root: &Path) -> Result<Self> {
        let dirs = Self { root: root.to_path_buf(), next: AtomicU64::new(0) };
        // What an index refers to was renamed out of here.
        match fs::remove_dir_all(dirs.ingest_root()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove unfinished content")(error));
            }
            _ => {}
        }
        for path in [dirs.ingest_root(), dirs.blobs(), dirs.layers(), dirs.pins(), dirs.empty()] {
            fs::create_dir_all(&path).map_err(Error::io(format!("create {}", path.display())))?;
        }
        Ok(dirs)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(super) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(diff_id.hex())
    }

    pub(super) fn layer_diff(&self, diff_id: &Digest) -> PathBuf {
        self.layer(diff_id).join("diff")
    }

    pub(super) fn pins(&self) -> PathBuf {
        self.root.join("pins")
    }

    pub(super) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    fn ingest_root(&self) -> PathBuf {
        self.root.join("ingest")
    }

    /// A path in `ingest` nobody has used since the store was opened.
    pub(super) fn ingest_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.ingest_root().join(number.to_string())
    }

    /// An empty directory in `ingest`.
    pub(super) fn ingest(&self) -> Result<Ingest> {
        let path = self.ingest_path();
        fs::create_dir(&path).map_err(Error::io(format!("create {}", path.display())))?;
        Ok(Ingest { path: Some(path) })
    }

    /// Replaces a file so that after a crash either content is there, whole.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let aside = self.ingest_path();
        let written = (|| {
            let mut file = File::create(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, path)?;
            match path.parent() {
                Some(parent) => File::open(parent)?.sync_all(),
                None => Ok(()),
            }
        })();
        written.map_err(|error| {
            let _ = fs::remove_file(&aside);
            Error::io(format!("write {}", path.display()))(error)
        })
    }

    /// Takes something out of sight at once; removing it may take a while.
    pub(super) fn discard(&self, path: &Path) -> io::Result<Discarded> {
        let aside = self.ingest_path();
        fs::rename(path, &aside)?;
        Ok(Discarded(aside))
    }
}

/// A directory in `ingest`, removed when dropped.
#[derive(Debug)]
pub(super) struct Ingest {
    path: Option<PathBuf>,
}

impl Ingest {
    pub(super) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Moves the directory to its place, where it stays.
    pub(super) fn rename(&mut self, to: &Path) -> io::Result<()> {
        fs::rename(self.path(), to)?;
        self.path = None;
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            remove(path);
        }
    }
}

/// Something out of sight, to be removed without any lock held.
#[must_use]
pub(super) struct Discarded(PathBuf);

impl Discarded {
    pub(super) fn remove(self) {
        remove(&self.0);
    }
}

/// What cannot be removed now is removed by the next open.
fn remove(path: &Path) {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = result {
        tracing::debug!(path = %path.display(), %error, "left for the next start");
    }
}
