//! Facts about the machine, read from where the kernel and the distribution
//! keep them. What cannot be read is empty or zero.

use std::fs;

use shoal_model::Platform;

/// The machine.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Its name.
    pub(super) name: String,
    /// The kernel's version.
    pub(super) kernel: String,
    /// The distribution's name.
    pub(super) os: String,
    /// The distribution's version.
    pub(super) os_version: String,
    /// Go's word for the architecture.
    pub(super) architecture: String,
    /// The kernel's word for the architecture.
    pub(super) machine: String,
    /// Processors.
    pub(super) processors: usize,
    /// Memory in bytes.
    pub(super) memory_bytes: u64,
    /// Version of the cgroup hierarchy.
    pub(super) cgroup_version: &'static str,
    /// Open files of the daemon.
    pub(super) open_files: usize,
}

impl Host {
    /// Reads everything.
    pub(super) fn read() -> Self {
        let release = read("/etc/os-release");
        let fact = |key: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        Self {
            name: read("/proc/sys/kernel/hostname"),
            kernel: read("/proc/sys/kernel/osrelease"),
            os: Some(fact("PRETTY_NAME"))
                .filter(|name| !name.is_empty())
                .unwrap_or("Linux".to_owned()),
            os_version: fact("VERSION_ID"),
            architecture: Platform::host().architecture,
            machine: std::env::consts::ARCH.to_owned(),
            processors: shoal_engine::processors(),
            memory_bytes: memory_bytes(&read("/proc/meminfo")).unwrap_or_default(),
            cgroup_version: cgroup_version(),
            open_files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// 2 where the unified hierarchy has the controllers.
fn cgroup_version() -> &'static str {
    let controllers = read("/sys/fs/cgroup/cgroup.controllers");
    if controllers.split_whitespace().any(|name| name == "memory") { "2" } else { "1" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_is() {
        let host = Host::read();
        assert!(host.processors > 0 && host.memory_bytes > 0 && !host.kernel.is_empty());
        assert_eq!(memory_bytes("MemTotal:  2 kB\nX: 1\n"), Some(2048));
        assert_eq!(memory_bytes(""), None);
    }
}
