//! One daemon per root and per run directory.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

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
        let root_lock = take_one(root, "shoal.lock")?;
        let run_lock = take_one(run_dir, "shoal.pid")?;
        Ok(Self { _files: [root_lock, run_lock] })
    }
}

fn take_one(directory: &Path, name: &str) -> Result<File> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
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
