//! A node's cgroup subtree: everything in the node is in it, so that limits
//! and removal see the node as one.

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

fn at(path: &str) -> Result<Cgroup> {
    let layout = Layout::detect().context("cannot see how this machine's cgroups are laid out")?;
    Cgroup::at(&layout, path).with_context(|| format!("no path for a cgroup: {path}"))
}
