//! Specs in, plans or refusals out.

use serde_json::{Value, json};
use shoal_sys::cgroup::DeviceRule;

use super::*;
use crate::bundle::Lenient;

fn config() -> ShimConfig {
    ShimConfig {
        id: "x".into(),
        root: RootFs::Spec,
        open_stdin: false,
        stdin_once: false,
        log: None,
        seccomp_program: None,
        user_text: None,
        group_texts: vec![],
        network_from_engine: false,
        lenient: Lenient::default(),
    }
}

fn spec() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/"},
        "mounts": [],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
    })
}

fn plan(spec: Value) -> Result<Plan, Failure> {
    let spec: Spec = serde_json::from_value(spec).unwrap();
    Plan::new(&Bundle::new("/bundle"), &spec, &config())
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let changes = [
        ("/linux/namespaces/1", json!({"type": "user"}), "user namespaces"),
        ("/linux/namespaces/0", json!({"type": "mount", "path": "/x"}), "mount namespace"),
        ("/linux/rootfsPropagation", json!("shared"), "\"shared\""),
        ("/linux/resources", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}), "huge"),
        ("/linux/personality", json!({"domain": "LINUX32"}), "personalities"),
        ("/process/apparmorProfile", json!("docker-default"), "AppArmor"),
        (
            "/mounts/0",
            json!({"destination": "/x", "type": "tmpfs", "options": ["rshared"]}),
            "rshared",
        ),
        ("/hooks", json!({"poststop": [{"path": "/bin/true"}]}), "hooks"),
    ];
    for (pointer, value, expected) in changes {
        let mut spec = spec();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match spec.pointer_mut(parent).unwrap() {
            Value::Array(list) if name == "0" && list.is_empty() => list.push(value),
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
            Value::Object(map) => {
                map.insert(name.into(), value);
            }
            other => panic!("{other}"),
        }
        let refused = plan(spec).unwrap_err();
        assert_eq!(refused.reason, Reason::NotImplemented, "{pointer}: {refused}");
        assert!(refused.message.contains(expected), "{pointer}: {refused}");
    }
}

#[test]
fn mount_options_are_sorted() {
    let mut spec = spec();
    spec["mounts"] = json!([
        {"destination": "/a/../data", "source": "/host", "type": "bind",
         "options": ["rbind", "ro", "rprivate", "nosuid"]},
        {"destination": "/dev", "source": "tmpfs", "type": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/sys/fs/cgroup", "source": "cgroup", "type": "cgroup", "options": ["ro"]},
    ]);
    let mounts = plan(spec).unwrap().mounts;
    assert_eq!(mounts[0].destination, Path::new("/data"));
    assert_eq!(mounts[0].kind, MountKind::Bind { source: "/host".into(), recursive: true });
    use shoal_sys::mount::Attributes;
    let options = mounts[0].options;
    assert_eq!(options.set, Attributes::READ_ONLY.with(Attributes::NO_SUID));
    assert_eq!(options.propagation, Some((Propagation::Private, true)));
    let MountKind::FileSystem { kind, options, .. } = &mounts[1].kind else { panic!() };
    assert_eq!(kind, "tmpfs");
    assert_eq!(options[1], ("size".into(), Some("65536k".into())));
    assert_eq!(mounts[2].kind, MountKind::Cgroup { writable: false });
}

/// What is for the mount alone is not done to those below it.
#[test]
fn what_changes_below_a_mount_is_asked_for_by_name() {
    use shoal_sys::mount::{Attributes, Change};
    let changes = |options: &[&str]| -> Vec<Change> {
        let mut spec = spec();
        spec["mounts"] = json!([
            {"destination": "/data", "source": "/host", "type": "bind", "options": options}]);
        plan(spec).unwrap().mounts[0].options.changes().collect()
    };
    let private =
        Change { propagation: Some(Propagation::Private), recursive: true, ..Change::default() };
    let read_only = Change { set: Attributes::READ_ONLY, ..Change::default() };
    let all_read_only = Change { recursive: true, ..read_only };
    assert_eq!(changes(&["rbind", "rw"]), []);
    assert_eq!(changes(&["rbind", "rw", "rprivate"]), [private]);
    assert_eq!(changes(&["rbind", "ro", "rprivate"]), [private, read_only]);
    assert_eq!(changes(&["rbind", "rro", "rprivate"]), [private, all_read_only]);
    assert_eq!(changes(&["rbind", "rro", "ro", "rw"]), []);
}

#[test]
fn sysctl_names_stay_below_proc_sys() {
    let mut good = spec();
    good["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "network"}]);
    good["linux"]["sysctl"] = json!({"net.ipv4.conf.eth0/1.forwarding": "1"});
    let sysctls = plan(good).unwrap().sysctls;
    assert_eq!(sysctls[0].0, Path::new("net/ipv4/conf/eth0.1/forwarding"));
    for name in ["../kernel", "//..//x", "", "kernel/././core"] {
        let mut spec = spec();
        spec["linux"]["sysctl"] = json!({ name: "1" });
        match plan(spec) {
            Err(refused) => assert_eq!(refused.reason, Reason::Invalid, "{name}"),
            Ok(plan) => assert!(!plan.sysctls[0].0.starts_with(".."), "{name}"),
        }
    }
}

#[test]
fn sysctls_of_the_machine_are_refused() {
    let tried = |name: &str, namespaces: Value| {
        let mut spec = spec();
        spec["linux"]["namespaces"] = namespaces;
        spec["linux"]["sysctl"] = json!({ name: "1" });
        plan(spec).map_err(|refused| refused.reason).map(|plan| plan.sysctls.len())
    };
    let own = json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
    let hosts = json!([{"type": "mount"}]);
    for name in ["net.core.somaxconn", "kernel.sem", "fs.mqueue.msg_max", "kernel.domainname"] {
        assert_eq!(tried(name, own.clone()), Ok(1), "{name}");
        assert_eq!(tried(name, hosts.clone()), Err(Reason::Invalid), "{name}");
    }
    for name in ["kernel.core_pattern", "kernel/core_pattern", "vm.drop_caches", "network.x"] {
        assert_eq!(tried(name, own.clone()), Err(Reason::Invalid), "{name}");
    }
}

/// A number that does not fit must not become a rule for all.
#[test]
fn device_numbers_that_are_none_are_refused() {
    for (major, good) in [(-1_i64, true), (10, true), (-2, false), (1 << 32, false)] {
        let mut spec = spec();
        spec["linux"]["cgroupsPath"] = json!("/shoal/x");
        spec["linux"]["resources"] = json!({"devices": [
            {"allow": true, "type": "c", "major": major, "minor": 1, "access": "rw"}]});
        assert_eq!(plan(spec).is_ok(), good, "{major}");
    }
}

#[test]
fn devices_are_denied_except_the_usual_ones_and_those_asked_for() {
    let mut spec = spec();
    spec["linux"]["cgroupsPath"] = json!("/shoal/x");
    spec["linux"]["resources"] = json!({"devices": [
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]});
    let rules = plan(spec.clone()).unwrap().cgroup.unwrap().devices;
    assert_eq!(rules[0], DeviceRule::DENY_ALL);
    assert!(rules.iter().any(|rule| rule.major == Some(10) && !rule.mknod && rule.allow));
    assert!(rules.contains(&DeviceRule::allow_char(1, Some(3))));
    spec["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
    assert_eq!(plan(spec).unwrap().cgroup.unwrap().devices.len(), 1);
}
