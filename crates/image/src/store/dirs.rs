//! Places on disk, and making things aside before they appear.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use shoal_model::Digest;
use shoal_sys::tree;

use crate::{Error, Result};

/// Where the kernel says which boot this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The directories of one store.
pub(super) struct Dirs {
    root: PathBuf,
    /// Identifies the time since the machine was started.
    boot: String,
    next: AtomicU64,
}

impl Dirs {
    /// Makes what is missing and removes what was left half done.
    pub(super) fn prepare(root: &Path) -> Result<Self> {
        let boot = fs::read_to_string(BOOT).map_err(Error::io(format!("read {BOOT}")))?;
        let mut dirs = Self {
            root: root.to_path_buf(),
            boot: boot.trim().to_owned(),
            next: AtomicU64::new(0),
        };
        for path in
            [dirs.ingest_root(), dirs.blobs(), dirs.layers(), dirs.fresh_pins(), dirs.empty()]
        {
            fs::create_dir_all(&path).map_err(Error::io(format!("create {}", path.display())))?;
        }
        dirs.next = AtomicU64::new(clear(&dirs.ingest_root())?);
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

    /// Pins of any boot that were not flushed then.
    pub(super) fn fresh_pins_root(&self) -> PathBuf {
        self.pins().join("fresh")
    }

    /// Those of this boot.
    pub(super) fn fresh_pins(&self) -> PathBuf {
        self.fresh_pins_root().join(&self.boot)
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

    /// Replaces a file so that after a power failure either content is there,
    /// whole.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.replace(path, |file| {
            file.write_all(bytes)?;
            file.sync_all()
        })?;
        let durable = path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
        durable.map_err(Error::io(format!("write {}", path.display())))
    }

    /// Replaces a file so that either content is there, whole, unless the power
    /// fails.
    pub(super) fn write_unsynced(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.replace(path, |file| file.write_all(bytes))
    }

    fn replace(&self, path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> Result<()> {
        let aside = self.ingest_path();
        let written = File::create(&aside)
            .and_then(|mut file| fill(&mut file))
            .and_then(|()| fs::rename(&aside, path));
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

/// Removes what was left half done: what an index refers to was renamed out of
/// there. Rubbish that cannot be removed (an immutable file, say) is no reason
/// not to open. Returns the first number that no such name has.
fn clear(ingest: &Path) -> Result<u64> {
    let failed = |error| Error::io("list unfinished content")(error);
    let mut next = 0;
    for item in fs::read_dir(ingest).map_err(failed)? {
        let item = item.map_err(failed)?;
        let Err(error) = tree::remove(&item.path()) else { continue };
        tracing::warn!(path = %item.path().display(), %error, "unfinished content stays");
        let number = item.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        next = next.max(number.map_or(0, |number| number.saturating_add(1)));
    }
    Ok(next)
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
    if let Err(error) = tree::remove(path) {
        tracing::debug!(path = %path.display(), %error, "left for the next start");
    }
}
