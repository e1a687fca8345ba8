//! Emptying and removing groups, nested ones included.

use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long the kernel gets to let go of ended processes.
const DEADLINE: Duration = Duration::from_secs(2);
/// First pause between two tries; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_micros(100);
/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Ids in one group. Zero stands for a process outside our pid namespace.
fn processes(dir: &Path) -> io::Result<Vec<i32>> {
    let text = match fs::read_to_string(dir.join("cgroup.procs")) {
        // A threaded group's processes are listed in the domain above it.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        other => other?,
    };
    Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|&pid| pid > 0).collect())
}

/// Ids in `dir` and in the groups below it, some of which may go meanwhile.
pub(super) fn processes_below(dir: &Path) -> io::Result<Vec<i32>> {
    let mut found = processes(dir)?;
    for child in children(dir)? {
        match processes_below(&child) {
            Err(error) if is_gone(&error) => {}
            more => found.extend(more?),
        }
    }
    Ok(found)
}

/// Removes `dir` and the groups in it; fine if it is not there.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::ResourceBusy || begin.elapsed() > DEADLINE {
            return Err(error);
        }
        for child in children(dir)? {
            remove(&child)?;
        }
        // The task's last step out of its group comes after its parent is told.
        if fs::remove_dir(dir).is_ok() {
            return Ok(());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Kills everything in `dir` and below and waits until it is gone.
pub(super) fn kill_all(dir: &Path) -> io::Result<()> {
    let begin = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let at_once = super::write(&dir.join("cgroup.kill"), "1").is_ok();
        let left = kill_below(dir, !at_once)?;
        if left == 0 {
            return Ok(());
        }
        if begin.elapsed() > DEADLINE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Counts, and kills when asked to, one by one.
fn kill_below(dir: &Path, kill: bool) -> io::Result<usize> {
    let found = match processes(dir) {
        Err(error) if is_gone(&error) => return Ok(0),
        other => other?,
    };
    if kill {
        for pid in found.iter().filter_map(|&pid| Pid::from_raw(pid)) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let mut count = found.len();
    for child in children(dir)? {
        count += kill_below(&child, kill)?;
    }
    Ok(count)
}

/// ENODEV: removed between open and read.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn children(dir: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
