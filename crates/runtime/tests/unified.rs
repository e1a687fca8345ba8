//! The same on a host with version 2 control groups: a thread with a mount
//! namespace of its own, in which nothing else is mounted. On a hybrid host that
//! tree has no controllers, so limits are not tried here; everything else is.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod common;

use common::{Setup, eventually, on_version_2};
use serde_json::json;
use shoal_runtime::protocol::{Operation, Status};

#[test]
fn a_container_lives_and_dies() {
    on_version_2(|| {
        let mut container = Setup::new(&["sh", "-c", "cat /proc/self/cgroup; sleep 1000"]).create();
        let mut stream = container.attach(false);
        container.start();
        // Its own namespace begins at its group.
        let output = common::read_until(&mut stream, "0::");
        assert!(output.lines().any(|line| line.starts_with("0::")), "{output}");
        let pid = container.pid();
        assert!(container.setup.cgroup.processes().unwrap().contains(&pid));
        let (output, _) = container.exec_script(
            "cat /proc/self/cgroup | grep ^0; mkdir /sys/fs/cgroup/x; \
             grep cgroup2 /proc/self/mounts",
        );
        assert!(output.starts_with("0::/\n"), "{output}");
        assert!(output.contains("Read-only file system"), "{output}");
        assert!(output.contains("/sys/fs/cgroup cgroup2 ro,"), "{output}");
        container.kill(9);
        container.gone();
    });
}

#[test]
fn it_is_frozen_and_killed() {
    on_version_2(|| {
        let mut container = Setup::new(&["sh", "-c", "sleep 1000 & sleep 1000"]).create();
        container.start();
        let group = container.setup.cgroup.clone();
        eventually("both run", || group.processes().unwrap().len() == 2);
        container.call(Operation::Pause);
        assert_eq!(container.state().status, Status::Paused);
        container.call(Operation::Resume);
        container.call(Operation::Pause);
        container.kill(9);
        assert_eq!(container.wait().exit_code, 137);
        container.gone();
    });
}

#[test]
fn devices_are_denied_by_program() {
    on_version_2(|| {
        // Capable of making nodes, and of little else.
        let mut container = Setup::new(&["sleep", "1000"]).create();
        container.start();
        let (output, _) = container.exec_script(
            "exec 2>&1; head -c 1 /dev/zero | wc -c; mknod /tmp/kmsg c 1 11; cat /tmp/kmsg; \
             mknod /tmp/disk b 254 0; head -c 1 /tmp/disk",
        );
        assert!(output.starts_with("1\n"), "{output}");
        let denied = output.matches("Operation not permitted").count();
        assert_eq!(denied, 2, "{output}");
        container.finish();
    });
}

#[test]
fn the_hosts_pid_namespace_is_swept() {
    on_version_2(|| {
        let mut setup = Setup::new(&["sh", "-c", "sleep 1000 & exit 0"]);
        setup.spec["linux"]["namespaces"] =
            json!([{"type": "mount"}, {"type": "network"}, {"type": "cgroup"}]);
        let (_, exit) = common::run(setup);
        assert_eq!(exit.exit_code, 0);
    });
}
