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
}
