//! What an engine is told when it opens.

use std::path::PathBuf;

/// How an engine works.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where containers and volumes are kept (`/var/lib/shoal`).
    pub root: PathBuf,
    /// Where what does not outlive a reboot is kept (`/run/shoal`).
    pub run: PathBuf,
    /// Parent of the containers' cgroups, relative to each hierarchy's root (`shoal`).
    pub cgroup_parent: String,
    /// Containers that may be starting at one time; `None` is chosen from the processors.
    pub parallel_starts: Option<usize>,
    /// Open files of a container that has no limit of its own; `None` is the daemon's limit.
    pub open_files: Option<OpenFiles>,
}

/// How many files a process may have open; `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// What it has at first.
    pub soft: u64,
    /// As far as it may raise that itself.
    pub hard: u64,
}
