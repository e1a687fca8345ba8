//! A node's cgroup subtree: everything in the node is in it, so that limits
//! and removal see the node as one.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};
use shoal_sys::cgroup::{Cgroup, Layout};

/// Puts this process, and so what it starts, into cgroup `path`, made on
/// every hierarchy if need be.
pub(super) fn enter(path: &str) -> Result<()> {
    let entering = || format!("cannot enter cgroup {path}");
    let cgroup = at(path)?;
    cgroup.create().with_context(entering)?;
    let own = i32::try_from(std::process::id()).with_context(entering)?;
    cgroup.add(own).with_context(entering)
}

/// Removes cgroup `path` with all below it; one that is not there is no error.
pub(super) fn remove(path: &str) -> Result<()> {
    at(path)?.remove().with_context(|| format!("cannot remove cgroup {path}"))
}

/// Whether a process is in cgroup `path` or below it, on any hierarchy.
pub(super) fn in_use(path: &str) -> Result<bool> {
    for (_, dir) in at(path)?.dirs() {
        if has_processes(&dir).with_context(|| format!("cannot read cgroup {path}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_processes(dir: &Path) -> io::Result<bool> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(dir) {
        Err(error) if gone(&error) => return Ok(false),
        entries => entries?,
    };
    match fs::read_to_string(dir.join("cgroup.procs")) {
        Ok(processes) if !processes.is_empty() => return Ok(true),
        Err(error) if !gone(&error) => return Err(error),
        _ => {}
    }
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && has_processes(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn at(path: &str) -> Result<Cgroup> {
    let layout = Layout::detect().context("cannot see how this machine's cgroups are laid out")?;
    Cgroup::at(&layout, path).with_context(|| format!("no path for a cgroup: {path}"))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn processes_are_seen_however_deep_they_are() {
        let root = format!("shoal-test-in-use-{}", std::process::id());
        assert!(!in_use(&root).unwrap(), "it is not there");
        let node = at(&format!("{root}/one/node")).unwrap();
        node.create().unwrap();
        assert!(!in_use(&root).unwrap(), "nobody is in it");
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let added = node.add(i32::try_from(child.id()).unwrap());
        let used = in_use(&root);
        child.kill().unwrap();
        child.wait().unwrap();
        remove(&root).unwrap();
        added.unwrap();
        assert!(used.unwrap());
    }
}
