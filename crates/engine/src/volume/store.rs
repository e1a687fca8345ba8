//! Volumes on disk. Blocks.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{DATA, copy_up};
use crate::container::record::{read_json, write_json};
use crate::domain::Volume;
use crate::files::{remove_rubbish, remove_tree};

/// What a volume is.
const RECORD: &str = "volume.json";

/// Where volumes are.
#[derive(Debug)]
pub(super) struct VolumeFiles {
    dir: PathBuf,
}

impl VolumeFiles {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let dir = root.join("volumes");
        // Only root looks in from outside; containers come in by mounts.
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&dir)?;
        Ok(VolumeFiles { dir })
    }

    /// The directory of a volume.
    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The directory a volume's content is in.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.dir(name).join(DATA)
    }

    /// All volumes; what is none is removed, and what was being filled is settled.
    pub(super) fn read_all(&self) -> io::Result<Vec<Volume>> {
        let mut volumes = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            // A link to where an administrator moved a volume is followed.
            let leads_to_one = kind.is_symlink() && path.is_dir();
            if !kind.is_dir() && !leads_to_one {
                remove_rubbish(&path);
                continue;
            }
            match read_json::<Volume>(&path.join(RECORD)) {
                Ok(Some(volume)) => {
                    if let Err(error) = copy_up::settle(&path) {
                        tracing::warn!(volume = %volume.name, %error, "cannot finish filling a volume");
                    }
                    volumes.push(volume);
                }
                Ok(None) if kind.is_dir() => remove_rubbish(&path),
                Ok(None) => tracing::warn!(path = %path.display(), "a link to what is no volume"),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a volume is damaged");
                }
            }
        }
        Ok(volumes)
    }

    /// Makes a volume; its record comes last and is synced.
    pub(super) fn make(&self, volume: &Volume) -> io::Result<()> {
        let dir = self.dir(&volume.name);
        fs::DirBuilder::new().mode(0o711).create(&dir)?;
        let made = fs::DirBuilder::new().mode(0o755).create(dir.join(DATA)).and_then(|()| {
            // An anonymous volume goes with its container, whose record is synced.
            write_json(&dir, RECORD, volume, !volume.anonymous)
        });
        if made.is_err() {
            let _ = remove_tree(&dir);
        }
        made
    }

    /// Removes a volume; its record goes first.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let dir = self.dir(name);
        match fs::remove_file(dir.join(RECORD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        remove_tree(&dir)
    }
}
