//! The directory behind a registry.
//!
//! ```text
//! blobs/sha256/ab/HEX                        content, shared by all repositories
//! repositories/NAME/_layers/HEX              the repository has this blob
//! repositories/NAME/_manifests/revisions/HEX … this manifest; holds its media type
//! repositories/NAME/_manifests/tags/TAG      holds a digest
//! repositories/NAME/_referrers/HEX/HEX       manifests about a manifest
//! uploads/ID                                 bytes received so far
//! lock                                       held by the process that serves it
//! ```
//!
//! Names of repositories have no part that begins with `_`. Files are made in
//! `uploads` and renamed.

mod blobs;
mod garbage;
mod lock;
mod manifests;
mod uploads;

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use shoal_model::Digest;

use super::route::Name;
pub use garbage::{Garbage, GarbageOptions, collect_garbage};
use lock::Lock;
pub(super) use manifests::Stored;
pub(super) use uploads::Upload;

/// An upload nobody has touched for so long is given up.
const UPLOAD_LIFE: Duration = Duration::from_hours(24);

/// A registry's content.
pub(super) struct Storage {
    root: PathBuf,
    uploads: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Upload>>>>,
    /// Held while manifests or tags change.
    manifests: Mutex<()>,
    next: AtomicU64,
    _lock: Lock,
}

impl Storage {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let storage = Self::locked(root)?;
        for directory in ["blobs/sha256", "repositories", "uploads"] {
            fs::create_dir_all(root.join(directory))?;
        }
        storage.remove_stale_uploads()?;
        storage.remove_unlinked_blobs()?;
        Ok(storage)
    }

    /// The directory as it is, and nobody else at work in it.
    fn locked(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.to_path_buf(),
            uploads: Mutex::default(),
            manifests: Mutex::default(),
            next: AtomicU64::new(0),
            _lock: Lock::take(root)?,
        })
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    fn repository(&self, name: &Name) -> PathBuf {
        self.root.join("repositories").join(name.as_str())
    }

    fn upload(&self, id: &str) -> PathBuf {
        self.root.join("uploads").join(id)
    }

    /// Replaces a small file as a whole.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let aside = self.root.join("uploads").join(format!("_{number}"));
        let written = (|| {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create(&aside)?;
            file.write_all(bytes)?;
            file.sync_data()?;
            fs::rename(&aside, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }

    /// Uploads outlive a restart, so that a client may go on.
    fn remove_stale_uploads(&self) -> io::Result<()> {
        for item in fs::read_dir(self.root.join("uploads"))? {
            let item = item?;
            let aside = item.file_name().as_encoded_bytes().starts_with(b"_");
            if aside || is_given_up(&item.metadata()?)? {
                fs::remove_file(item.path())?;
            }
        }
        Ok(())
    }

    /// Blobs that no repository has: deleted, or left by a kill between the
    /// rename and the link.
    fn remove_unlinked_blobs(&self) -> io::Result<()> {
        let mut linked = HashSet::new();
        for repository in self.repository_paths()? {
            for kind in ["_layers", "_manifests/revisions"] {
                linked.extend(names_in(&repository.join(kind))?);
            }
        }
        for group in fs::read_dir(self.root.join("blobs/sha256"))? {
            let group = group?.path();
            for name in names_in(&group)? {
                if !linked.contains(&name) {
                    fs::remove_file(group.join(name))?;
                }
            }
        }
        Ok(())
    }

    /// Directories of all repositories, in order of their names.
    fn repository_paths(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut open = vec![self.root.join("repositories")];
        while let Some(directory) = open.pop() {
            let mut is_repository = false;
            for name in names_in(&directory)? {
                if name.starts_with('_') {
                    is_repository = true;
                } else {
                    open.push(directory.join(name));
                }
            }
            if is_repository {
                found.push(directory);
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Whether a file of an upload has not been written to for [`UPLOAD_LIFE`].
fn is_given_up(upload: &fs::Metadata) -> io::Result<bool> {
    is_older(upload, UPLOAD_LIFE)
}

fn is_older(file: &fs::Metadata, limit: Duration) -> io::Result<bool> {
    let written = file.modified()?;
    Ok(SystemTime::now().duration_since(written).is_ok_and(|age| age > limit))
}

/// Names in a directory, sorted; none if it is not there.
fn names_in(directory: &Path) -> io::Result<Vec<String>> {
    let listing = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for item in listing {
        names.extend(item?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Removes a file; whether it was there.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
