//! On this machine's own hierarchies, in groups of their own.

use std::process::{Child, Command, Stdio};

use super::*;

/// A group that is removed, with what it holds, when the test is over.
struct Temporary(Cgroup);

impl Temporary {
    fn new(name: &str) -> Self {
        let layout = Layout::detect().unwrap();
        let path = format!("/shoal-test-{}/{name}", std::process::id());
        let group = Cgroup::at(&layout, path).unwrap();
        group.create().unwrap();
        Self(group)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = self.0.thaw();
        let _ = self.0.kill_all();
        let _ = self.0.remove();
        // The last test to end removes the group above.
        for (_, dir) in self.0.dirs() {
            let _ = dir.parent().map(fs::remove_dir);
        }
    }
}

fn sleeper(group: &Cgroup) -> Child {
    let child = Command::new("/bin/busybox").args(["sleep", "1000"]).stdin(Stdio::null()).spawn();
    let child = child.unwrap();
    group.add(child.id() as i32).unwrap();
    child
}

#[test]
fn a_group_takes_processes_and_is_emptied_and_removed() {
    let group = Temporary::new("life");
    let mut child = sleeper(&group.0);
    assert_eq!(group.0.processes().unwrap(), [child.id() as i32]);
    assert!(group.0.stats().unwrap().pids_current >= 1);
    // Only its parent can take a killed process out of the table.
    let reaper = std::thread::spawn(move || child.wait().unwrap());
    group.0.kill_all().unwrap();
    reaper.join().unwrap();
    group.0.remove().unwrap();
    assert!(!group.0.exists());
    group.0.remove().unwrap();
}

#[test]
fn processes_of_groups_below_are_its_own() {
    let group = Temporary::new("below");
    let inner = Cgroup::at(group.0.layout(), group.0.path().join("a/b")).unwrap();
    inner.create().unwrap();
    let (mut above, mut below) = (sleeper(&group.0), sleeper(&inner));
    let mut found = group.0.processes().unwrap();
    found.sort_unstable();
    let mut wanted = [above.id() as i32, below.id() as i32];
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    for child in [&mut above, &mut below] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn nested_groups_go_with_it() {
    let group = Temporary::new("nested");
    let inner = Cgroup::at(group.0.layout(), group.0.path().join("a/b")).unwrap();
    inner.create().unwrap();
    group.0.remove().unwrap();
    assert!(!inner.exists());
}

#[test]
fn limits_are_in_force_and_seen_in_the_stats() {
    let group = Temporary::new("limits");
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        cpu_shares: Some(512),
        pids_max: Some(7),
        ..Limits::default()
    };
    group.0.apply(&limits).unwrap();
    let stats = group.0.stats().unwrap();
    assert_eq!(stats.memory.limit_bytes, Some(64 << 20));
    assert_eq!(stats.pids_limit, Some(7));
    let grown = Limits { memory_bytes: Some(128 << 20), ..Limits::default() };
    group.0.apply(&grown).unwrap();
    assert_eq!(group.0.stats().unwrap().memory.limit_bytes, Some(128 << 20));
}

#[test]
fn device_rules_nobody_enforces_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Hierarchy { controllers: vec!["memory".into()], mount: dir.path().into() };
    let group = Cgroup::at(&Layout::V1([memory].into()), "x").unwrap();
    let everything = DeviceRule { allow: true, ..DeviceRule::DENY_ALL };
    group.set_devices(&[everything]).unwrap();
    let null = DeviceRule::allow_char(1, Some(3));
    let refused = group.set_devices(&[DeviceRule::DENY_ALL, null]).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    assert!(refused.to_string().contains("controller devices"), "{refused}");
}

#[test]
fn a_frozen_group_stands_still_and_goes_on() {
    let group = Temporary::new("frozen");
    let mut child = sleeper(&group.0);
    group.0.freeze().unwrap();
    let state = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(state.contains("State:\tD") || state.contains("State:\tS"), "{state}");
    child.kill().unwrap();
    group.0.thaw().unwrap();
    child.wait().unwrap();
    group.0.remove().unwrap();
}

#[test]
fn paths_that_lead_out_are_refused() {
    let layout = Layout::detect().unwrap();
    for path in ["", "/", "../x", "/a/../../b"] {
        let refused = Cgroup::at(&layout, path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{path:?}");
    }
}
