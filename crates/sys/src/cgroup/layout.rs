//! Where the hierarchies are mounted.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where systemd and everybody after it mounts them.
const USUAL_MOUNT: &str = "/sys/fs/cgroup";

/// How this host groups processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One hierarchy per controller (or few controllers). A version 2 tree
    /// without controllers beside them is left alone.
    V1(Arc<[Hierarchy]>),
    /// One hierarchy for all.
    V2(Arc<[Hierarchy]>),
}

/// One mounted tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers (`cpu`, `cpuacct`); empty on version 2, where they are
    /// listed in the files.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
}

impl Layout {
    /// Looks at the mounts of the calling process.
    ///
    /// # Errors
    /// `NotFound` if no hierarchy with controllers is mounted.
    pub fn detect() -> io::Result<Self> {
        if super::is_unified(Path::new(USUAL_MOUNT)) {
            return Ok(Self::unified(USUAL_MOUNT.into()));
        }
        Self::parse(&fs::read_to_string("/proc/self/mountinfo")?)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Every tree.
    pub fn hierarchies(&self) -> &[Hierarchy] {
        match self {
            Self::V1(trees) | Self::V2(trees) => trees,
        }
    }

    /// The tree of one controller.
    pub fn hierarchy(&self, controller: &str) -> Option<&Hierarchy> {
        match self {
            Self::V1(trees) => {
                trees.iter().find(|tree| tree.controllers.iter().any(|name| name == controller))
            }
            Self::V2(trees) => trees.first(),
        }
    }

    /// Whether this is version 2.
    pub fn is_v2(&self) -> bool {
        matches!(self, Self::V2(_))
    }

    fn unified(mount: PathBuf) -> Self {
        Self::V2([Hierarchy { controllers: Vec::new(), mount }].into())
    }

    /// From `mountinfo` (proc(5)): `36 35 0:31 / /sys/fs/cgroup/cpu rw - cgroup
    /// cgroup rw,cpu`.
    fn parse(mountinfo: &str) -> Option<Self> {
        let mut trees: Vec<Hierarchy> = Vec::new();
        let mut unified = None;
        for line in mountinfo.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(mount) = before.split(' ').nth(4) else { continue };
            let mut after = after.split(' ');
            match after.next() {
                Some("cgroup2") => unified = unified.or(Some(PathBuf::from(mount))),
                Some("cgroup") => {
                    let controllers = controllers(after.nth(1).unwrap_or(""));
                    let seen = trees.iter().any(|tree| tree.controllers == controllers);
                    if !controllers.is_empty() && !seen {
                        trees.push(Hierarchy { controllers, mount: mount.into() });
                    }
                }
                _ => {}
            }
        }
        if trees.is_empty() { unified.map(Self::unified) } else { Some(Self::V1(trees.into())) }
    }
}

/// The controllers among a tree's super block options; none for a named tree
/// without controllers, which limits nothing.
fn controllers(options: &str) -> Vec<String> {
    const KNOWN: [&str; 12] = [
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
    ];
    options.split(',').filter(|name| KNOWN.contains(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hosts_are_version_1() {
        let layout = Layout::parse(
            "28 20 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n\
             29 28 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
             30 28 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             31 28 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             32 28 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        )
        .unwrap();
        assert!(!layout.is_v2());
        assert_eq!(layout.hierarchies().len(), 2);
        let mount = &layout.hierarchy("cpuacct").unwrap().mount;
        assert_eq!(mount, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(layout.hierarchy("pids").is_none());
    }

    #[test]
    fn a_lone_unified_tree_is_version_2() {
        let layout = Layout::parse("29 28 0:26 / /cg rw - cgroup2 none rw,nsdelegate\n").unwrap();
        assert!(layout.is_v2());
        assert_eq!(layout.hierarchy("memory").unwrap().mount, Path::new("/cg"));
        assert_eq!(Layout::parse("1 1 0:1 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
