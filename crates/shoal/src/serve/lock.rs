//! One daemon per root and per run directory, closed to the machine's users.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

/// A directory only daemons use.
struct Place {
    /// The file that is locked.
    lock: &'static str,
    /// Who may do what with it. Users of the socket have to get through to it.
    mode: u32,
    /// What daemons keep there, besides the lock; a directory with anything
    /// else in it is somebody's, who decides who may see it.
    kept: &'static [&'static str],
}

/// Where images, containers and volumes are.
const ROOT: Place = Place {
    lock: "shoal.lock",
    mode: 0o710,
    // The last one is the file system's, when it has a disk of its own.
    kept: &[
        "image",
        "build-cache.json",
        "network",
        "containers",
        "common-layer",
        "volumes",
        "swarm",
        "tmp",
        "lost+found",
    ],
};

/// Where sockets and bundles are.
const RUN: Place = Place {
    lock: "shoal.pid",
    mode: 0o711,
    kept: &["shoal.sock", "shoal.new", "containers", "seccomp"],
};

/// The right to use two directories; given back when dropped, also by the
/// kernel when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _files: [File; 2],
}

impl Lock {
    /// Makes the directories and takes the locks; writes the pid file.
    ///
    /// # Errors
    /// When another daemon has one of them, naming its process.
    pub(super) fn take(root: &Path, run_dir: &Path) -> Result<Self> {
        let root_lock = ROOT.take(root)?;
        let run_lock = RUN.take(run_dir)?;
        Ok(Self { _files: [root_lock, run_lock] })
    }
}

impl Place {
    fn take(&self, directory: &Path) -> Result<File> {
        self.make(directory).with_context(|| format!("making {}", directory.display()))?;
        take_file(directory, self.lock)
    }

    /// Makes the directory, or closes one that an earlier daemon left open.
    fn make(&self, directory: &Path) -> io::Result<()> {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        let mode = match DirBuilder::new().mode(self.mode).create(directory) {
            Ok(()) => self.mode,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !self.is_ours(directory)? {
                    return Ok(());
                }
                // Rights that somebody took away stay away.
                fs::metadata(directory)?.permissions().mode() & self.mode
            }
            Err(error) => return Err(error),
        };
        // Whatever the umask is.
        fs::set_permissions(directory, Permissions::from_mode(mode))
    }

    fn is_ours(&self, directory: &Path) -> io::Result<bool> {
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            if name != self.lock && !self.kept.iter().any(|kept| name == *kept) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn take_file(directory: &Path, name: &str) -> Result<File> {
    let path = directory.join(name);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        // The message is as good without the number.
        let _ = file.read_to_string(&mut pid);
        bail!("another daemon (process {}) already uses {}", pid.trim(), directory.display());
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn directories_are_closed_unless_they_are_somebodys() {
        let directory = tempfile::tempdir().expect("a directory");
        let [root, run] = ["a/root", "run"].map(|name| directory.path().join(name));
        let modes = || {
            [&root, &run]
                .map(|path| fs::metadata(path).expect("a directory").permissions().mode() & 0o7777)
        };
        let set = |mode| {
            for path in [&root, &run] {
                fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
            }
        };
        let take = || drop(Lock::take(&root, &run).expect("a lock"));
        take();
        assert_eq!(modes(), [0o710, 0o711]);
        set(0o755);
        fs::create_dir(root.join("volumes")).expect("volumes");
        take();
        assert_eq!(modes(), [0o710, 0o711], "an earlier daemon's");
        set(0o700);
        take();
        assert_eq!(modes(), [0o700, 0o700], "narrower than ours");
        set(0o755);
        for path in [&root, &run] {
            fs::write(path.join("diary"), "").expect("a file");
        }
        take();
        assert_eq!(modes(), [0o755, 0o755], "somebody's");
    }

    /// Far longer than a process takes to execute a program.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_second_daemon_is_refused_with_the_first_ones_pid() {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, run) = (directory.path().join("root"), directory.path().join("run"));
        let first = Lock::take(&root, &run).expect("a lock");
        let error = Lock::take(&root, &directory.path().join("other")).expect_err("taken");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        // A process another test starts at this moment has the files, too,
        // until it executes its program.
        let start = Instant::now();
        while let Err(error) = Lock::take(&root, &run) {
            assert!(start.elapsed() < PATIENCE, "not free again: {error}");
        }
    }
}
