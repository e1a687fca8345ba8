//! Control groups, version 1 (each controller its own tree, as on hybrid hosts)
//! and version 2, behind one type.
//!
//! A [`Cgroup`] is a path below the root of the hierarchy, the same in every tree
//! of version 1. Nothing is cached: the kernel's files are the truth.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FsWord, statfs};

mod device_filter;
mod devices;
mod layout;
mod limits;
mod stats;
mod tree;
mod v1;
mod v2;

pub use devices::{DeviceKind, DeviceRule};
pub use layout::{Hierarchy, Layout};
pub use limits::{Limits, Throttle, ThrottleKind};
pub use stats::{BlockIo, CpuStats, MemoryStats, Stats};

/// One control group.
#[derive(Clone, Debug)]
pub struct Cgroup {
    layout: Layout,
    /// Relative, without `..`.
    path: PathBuf,
}

impl Cgroup {
    /// The group at `path` (`/shoal/abc` or `shoal/abc`) below the root of each
    /// hierarchy. It need not exist.
    ///
    /// # Errors
    /// `InvalidInput` for an empty path and one that contains `..`.
    pub fn at(layout: &Layout, path: impl AsRef<Path>) -> io::Result<Self> {
        let path: PathBuf = path
            .as_ref()
            .components()
            .filter(|part| {
                !matches!(part, std::path::Component::RootDir | std::path::Component::CurDir)
            })
            .collect();
        let upward = path.components().any(|part| part == std::path::Component::ParentDir);
        if upward || path.as_os_str().is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { layout: layout.clone(), path })
    }

    /// The path below each hierarchy's root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hosts's way of grouping.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its directory in each hierarchy (one on version 2), with the controllers
    /// found there.
    pub fn dirs(&self) -> impl Iterator<Item = (&Hierarchy, PathBuf)> {
        self.layout.hierarchies().iter().map(|tree| (tree, tree.mount.join(&self.path)))
    }

    /// Its directory in the hierarchy of `controller` (`memory`); on version 2
    /// always the one directory. `None` if the host lacks the controller.
    pub fn dir(&self, controller: &str) -> Option<PathBuf> {
        let tree = self.layout.hierarchy(controller)?;
        Some(tree.mount.join(&self.path))
    }

    /// Whether it is there, in any hierarchy.
    pub fn exists(&self) -> bool {
        self.dirs().any(|(_, dir)| dir.is_dir())
    }

    /// Makes it and every group above it, ready to take processes: on version 1
    /// with cpus and memory nodes filled in, on version 2 with every controller
    /// the parent has. What exists already stays as it is.
    pub fn create(&self) -> io::Result<()> {
        match self.layout {
            Layout::V1(_) => v1::create(self),
            Layout::V2(_) => v2::create(self),
        }
    }

    /// Sets limits; what is `None` stays as it is.
    pub fn apply(&self, limits: &Limits) -> io::Result<()> {
        match self.layout {
            Layout::V1(_) => v1::apply(self, limits),
            Layout::V2(_) => v2::apply(self, limits),
        }
    }

    /// Lets its processes use these devices and no others. Rules are taken in
    /// order, the last match counts.
    pub fn set_devices(&self, rules: &[DeviceRule]) -> io::Result<()> {
        match self.layout {
            Layout::V1(_) => v1::set_devices(self, rules),
            Layout::V2(_) => device_filter::attach(&self.unified_dir(), rules),
        }
    }

    /// Moves a process, with its threads, into it, in every hierarchy.
    pub fn add(&self, pid: i32) -> io::Result<()> {
        let text = pid.to_string();
        for (_, dir) in self.dirs() {
            write(&dir.join("cgroup.procs"), &text)?;
        }
        Ok(())
    }

    /// A descriptor for `CLONE_INTO_CGROUP`; `None` on version 1.
    pub fn open_for_clone(&self) -> io::Result<Option<std::os::fd::OwnedFd>> {
        use rustix::fs::{Mode, OFlags};
        match self.layout {
            Layout::V1(_) => Ok(None),
            Layout::V2(_) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Ok(Some(rustix::fs::open(self.unified_dir(), flags, Mode::empty())?))
            }
        }
    }

    /// The group a process stands in on version 2, if it is this one or one below.
    ///
    /// # Errors
    /// `NotFound` if it stands elsewhere, or there is no such process.
    pub fn group_of(&self, pid: i32) -> io::Result<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        // `0::/shoal/abc/inner`, from the root of our own cgroup namespace.
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"));
        let found = Self::at(&self.layout, path.unwrap_or_default());
        found.ok().filter(|group| group.path.starts_with(&self.path)).ok_or_else(|| {
            let text = format!("process {pid} has left control group {}", self.path.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        })
    }

    /// Ids of its processes and of those in groups below it.
    pub fn processes(&self) -> io::Result<Vec<i32>> {
        let Some(dir) = self.tracking_dir() else { return Ok(Vec::new()) };
        tree::processes_below(&dir)
    }

    /// Kills every process in it and below it. Returns when they are gone from
    /// the group, or `TimedOut` after about two seconds.
    pub fn kill_all(&self) -> io::Result<()> {
        match self.tracking_dir() {
            Some(dir) if dir.exists() => tree::kill_all(&dir),
            _ => Ok(()),
        }
    }

    /// Removes it and every group below it, from every hierarchy; fine if it is
    /// not there. Processes must have ended (see [`Cgroup::kill_all`]); the kernel
    /// needs a moment to let go of them, for which this waits, at most two seconds.
    /// Goes on past an error and returns the first.
    pub fn remove(&self) -> io::Result<()> {
        let mut first = Ok(());
        for (_, dir) in self.dirs() {
            first = first.and(tree::remove(&dir));
        }
        first
    }

    /// Stops every process in it; returns when all stand still.
    pub fn freeze(&self) -> io::Result<()> {
        match self.layout {
            Layout::V1(_) => v1::freeze(self),
            Layout::V2(_) => v2::freeze(self, true),
        }
    }

    /// Lets them go on.
    pub fn thaw(&self) -> io::Result<()> {
        match self.layout {
            Layout::V1(_) => v1::thaw(self),
            Layout::V2(_) => v2::freeze(self, false),
        }
    }

    /// How many of its processes the kernel has killed for lack of memory.
    pub fn oom_kill_count(&self) -> io::Result<u64> {
        let file = match self.layout {
            Layout::V1(_) => "memory.oom_control",
            Layout::V2(_) => "memory.events",
        };
        let Some(dir) = self.dir("memory") else { return Ok(0) };
        Ok(stats::flat_keyed(&dir.join(file))?.get("oom_kill").copied().unwrap_or(0))
    }

    /// What it uses now.
    pub fn stats(&self) -> io::Result<Stats> {
        match self.layout {
            Layout::V1(_) => stats::read_v1(self),
            Layout::V2(_) => stats::read_v2(self),
        }
    }

    fn unified_dir(&self) -> PathBuf {
        self.dir("").unwrap_or_else(|| self.path.clone())
    }

    /// The tree whose `cgroup.procs` says who is in it.
    fn tracking_dir(&self) -> Option<PathBuf> {
        ["pids", "freezer", "memory"].iter().find_map(|name| self.dir(name))
    }
}

/// Writes a control file in one `write(2)`, as the kernel wants it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// `CGROUP2_SUPER_MAGIC`.
const CGROUP2_MAGIC: FsWord = 0x6367_7270;

fn is_unified(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.f_type == CGROUP2_MAGIC)
}

#[cfg(test)]
mod tests;
