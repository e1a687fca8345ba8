//! The same on a host with version 2 control groups: a thread with a mount
//! namespace of its own, in which nothing else is mounted. On a hybrid host that
//! tree has no controllers, so limits are not tried here; everything else is.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod common;

use std::{fs, path::PathBuf};

use common::{Setup, eventually, on_version_2};
use serde_json::json;
use shoal_runtime::protocol::{Operation, Status};
use shoal_sys::cgroup::Cgroup;

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
fn without_an_own_namespace_it_sees_the_whole_tree() {
    on_version_2(|| {
        let mut setup = Setup::new(&[
            "sh",
            "-c",
            "exec 2>&1; own=/sys/fs/cgroup$(grep ^0:: /proc/self/cgroup | cut -c 4-); \
             grep -x 1 $own/cgroup.procs; mkdir $own/x",
        ]);
        let namespaces = setup.spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|one| one["type"] != "cgroup");
        let (output, _) = common::run(setup);
        assert!(output.starts_with("1\n"), "{output}");
        assert!(output.contains("Read-only file system"), "{output}");
    });
}

/// As the likes of systemd and dind do: they go into a group of their own, and hand
/// the container's controllers to groups below it.
#[test]
fn an_exec_goes_where_the_first_process_went() {
    on_version_2(|| {
        let mut setup = Setup::new(&[
            "sh",
            "-c",
            "cd /sys/fs/cgroup && mkdir inner && echo 1 > inner/cgroup.procs && echo moved; \
             read name; echo +$name > cgroup.subtree_control && echo handed down; sleep 1000",
        ]);
        let writable = json!(["rw", "nosuid", "noexec", "nodev"]);
        setup.spec["mounts"][4]["options"] = writable;
        setup.config.open_stdin = true;
        let mut container = setup.create();
        let mut stream = container.attach(true);
        container.start();
        common::read_until(&mut stream, "moved");
        let group = container.setup.cgroup.clone();
        let handed = HandedDown::new(&group);
        stream.write_stdin(format!("{}\n", handed.name).as_bytes()).unwrap();
        common::read_until(&mut stream, "handed down");
        assert_eq!(container.exec_script("grep ^0 /proc/self/cgroup").0, "0::/inner\n");
        assert!(group.processes().unwrap().contains(&container.pid()));
        container.kill(9);
        container.gone();
        drop(handed);
    });
}

/// A controller that version 1 has left over, given to a group; taken back from those
/// above it when dropped.
struct HandedDown {
    name: &'static str,
    /// `cgroup.subtree_control` of the root and of the group's parent.
    files: [PathBuf; 2],
}

impl HandedDown {
    fn new(group: &Cgroup) -> Self {
        let dir = group.dir("").unwrap();
        let [parent, root] = [1, 2].map(|up| dir.ancestors().nth(up).unwrap());
        let available = fs::read_to_string(root.join("cgroup.controllers")).unwrap();
        let name = ["hugetlb", "memory", "io", "rdma", "misc"]
            .into_iter()
            .find(|name| available.split_whitespace().any(|one| one == *name))
            .expect("a controller of the version 2 tree");
        let files = [root, parent].map(|dir| dir.join("cgroup.subtree_control"));
        for file in &files {
            fs::write(file, format!("+{name}")).unwrap();
        }
        Self { name, files }
    }
}

impl Drop for HandedDown {
    fn drop(&mut self) {
        for file in self.files.iter().rev() {
            let _ = fs::write(file, format!("-{}", self.name));
        }
    }
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
fn a_container_ends_with_an_exec_in_the_making() {
    on_version_2(|| {
        let mut container = Setup::new(&["sleep", "1000"]).create();
        container.start();
        let group = container.setup.cgroup.clone();
        group.freeze().unwrap();
        let mut stuck = container.connect();
        let request = common::exec_request(&["true"]);
        let id = stuck.send(Operation::Exec(Box::new(request))).unwrap();
        eventually("it is being made", || group.processes().unwrap().len() == 2);
        // Frozen on version 2, they still die.
        container.kill(9);
        assert_eq!(container.wait().exit_code, 137);
        let failure = stuck.answer(id).unwrap_err();
        assert!(failure.to_string().contains("died while being made"), "{failure}");
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
