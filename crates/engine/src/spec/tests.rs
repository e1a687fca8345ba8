//! Snapshots of the document: what a change here changes is to be read in them.

use std::path::PathBuf;

use super::*;
use crate::container::container::tests::record as plain_record;
use crate::container::record::Rootfs;
use crate::domain::{
    CgroupnsMode, ContainerConfig, HostConfig, Mount, MountKind, MountPoint, NetworkMode,
    Propagation, Resources, TmpfsOptions, Ulimit,
};

fn record() -> Record {
    let mut record = plain_record(&"c0ffee".repeat(11)[..64], "web");
    record.config = ContainerConfig {
        hostname: Some("c0ffeec0ffee".into()),
        env: vec!["A=1".into(), "PATH=/bin".into()],
        cmd: Some(vec!["-c".into(), "true".into()]),
        entrypoint: Some(vec!["sh".into()]),
        ..ContainerConfig::default()
    };
    record.rootfs = Rootfs {
        lower: vec!["/layers/2".into(), "/layers/1".into()],
        upper: "/kept/upper".into(),
        work: "/kept/work".into(),
    };
    record.host.say_defaults(false);
    record
}

fn facts() -> Facts {
    Facts {
        cgroup: "/shoal/c0ffee".into(),
        etc: Some(EtcFiles {
            resolv_conf: "/kept/resolv.conf".into(),
            hostname: "/kept/hostname".into(),
            hosts: "/kept/hosts".into(),
        }),
        seccomp: Some("/run/seccomp/1.bpf".into()),
        log: "/kept/log".into(),
        common_layer: "/kept/common".into(),
        ..Facts::default()
    }
}

/// The document and the settings, as the shim reads them, with sets in order.
fn text(record: &Record, facts: &Facts) -> String {
    let (document, shim) = build(record, facts).unwrap();
    let mut document = serde_json::to_value(document).unwrap();
    sort_capabilities(&mut document);
    let shim = serde_json::to_value(shim).unwrap();
    serde_json::to_string_pretty(&serde_json::json!({"config": document, "shim": shim})).unwrap()
}

fn sort_capabilities(document: &mut serde_json::Value) {
    let Some(sets) = document["process"]["capabilities"].as_object_mut() else { return };
    for set in sets.values_mut().filter_map(|set| set.as_array_mut()) {
        set.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
}

/// The lines in which `changed` differs from `before`, as a reader of a diff sees them.
fn difference(before: &str, changed: &str) -> String {
    let (before, changed): (Vec<_>, Vec<_>) = (before.lines().collect(), changed.lines().collect());
    // Longest common subsequence; documents have a few hundred lines.
    let mut common = vec![vec![0_u32; changed.len() + 1]; before.len() + 1];
    for (i, a) in before.iter().enumerate().rev() {
        for (j, b) in changed.iter().enumerate().rev() {
            common[i][j] = if a == b {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < before.len() || j < changed.len() {
        if i < before.len() && j < changed.len() && before[i] == changed[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == changed.len() || i < before.len() && common[i + 1][j] >= common[i][j + 1] {
            lines.push(format!("-{}", before[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", changed[j]));
            j += 1;
        }
    }
    lines.join("\n")
}

fn changed_by(change: impl FnOnce(&mut Record, &mut Facts)) -> String {
    let (mut record, mut facts) = (record(), facts());
    let before = text(&record, &facts);
    change(&mut record, &mut facts);
    record.host.say_defaults(false);
    difference(&before, &text(&record, &facts))
}

#[test]
fn a_plain_container() {
    insta::assert_snapshot!(text(&record(), &facts()));
}

#[test]
fn host_namespaces() {
    insta::assert_snapshot!(changed_by(|record, facts| {
        record.host = HostConfig {
            network_mode: NetworkMode::Host,
            pid_mode: PidMode::Host,
            ipc_mode: IpcMode::Host,
            uts_mode: UtsMode::Host,
            ..HostConfig::default()
        };
        facts.network = NetworkFact::Host;
    }));
}

#[test]
fn namespaces_of_another_container() {
    insta::assert_snapshot!(changed_by(|record, facts| {
        record.host.pid_mode = PidMode::Container("db".into());
        facts.network = NetworkFact::Path("/proc/7/ns/net".into());
        facts.pid_namespace = Some("/proc/7/ns/pid".into());
    }));
}

#[test]
fn privileged() {
    insta::assert_snapshot!(changed_by(|record, facts| {
        record.host.privileged = true;
        facts.seccomp = None;
        facts.devices = vec![HostDevice {
            path: "/dev/fuse".into(),
            block: false,
            major: 10,
            minor: 229,
            mode: 0o666,
            uid: 0,
            gid: 0,
            access: "rwm".into(),
        }];
    }));
}

#[test]
fn cgroup_namespaces_follow_the_version() {
    let own = |cgroup_v2, privileged, cgroupns_mode| {
        let mut record = record();
        (record.host.privileged, record.host.cgroupns_mode) = (privileged, cgroupns_mode);
        let found = namespaces(&record, &Facts { cgroup_v2, ..facts() });
        found.iter().any(|one| one.typ() == LinuxNamespaceType::Cgroup)
    };
    for privileged in [false, true] {
        assert!(own(true, privileged, CgroupnsMode::Default), "{privileged}");
        assert!(!own(false, privileged, CgroupnsMode::Default), "{privileged}");
        assert!(own(false, privileged, CgroupnsMode::Private), "{privileged}");
        assert!(!own(true, privileged, CgroupnsMode::Host), "{privileged}");
    }
}

#[test]
fn limits_and_rights() {
    insta::assert_snapshot!(changed_by(|record, _| {
        record.host = HostConfig {
            cap_add: vec!["NET_ADMIN".into()],
            cap_drop: vec!["MKNOD".into()],
            no_new_privileges: true,
            readonly_rootfs: true,
            oom_score_adj: 500,
            group_add: vec!["wheel".into()],
            sysctls: [("net.core.somaxconn".into(), "5".into())].into(),
            masked_paths: Some(vec![]),
            resources: Resources {
                memory_bytes: Some(64 << 20),
                nano_cpus: Some(500_000_000),
                pids_limit: Some(100),
                cpuset_cpus: "0".into(),
                ulimits: vec![Ulimit { name: "nofile".into(), soft: 10, hard: -1 }],
                ..Resources::default()
            },
            ..HostConfig::default()
        };
    }));
}

#[test]
fn open_files_are_limited_as_asked_or_as_the_node_says() {
    let limits = |record: &Record, open_files| {
        let facts = Facts { open_files, ..facts() };
        let (document, _) = build(record, &facts).unwrap();
        let limits = document.process().as_ref().unwrap().rlimits().clone().unwrap_or_default();
        limits.iter().map(|limit| (limit.soft(), limit.hard())).collect::<Vec<_>>()
    };
    let nodes = Some(OpenFiles { soft: 1024, hard: 4096 });
    let mut record = record();
    assert_eq!(limits(&record, None), []);
    assert_eq!(limits(&record, nodes), [(1024, 4096)]);
    record.host.resources.ulimits = vec![Ulimit { name: "nofile".into(), soft: 10, hard: 20 }];
    assert_eq!(limits(&record, nodes), [(10, 20)]);
}

#[test]
fn mounts_of_the_user() {
    let point = |destination: &str, kind, source: &str| MountPoint {
        mount: Mount { destination: destination.into(), kind, read_only: true },
        source: source.into(),
        anonymous: false,
        from_mounts: false,
    };
    insta::assert_snapshot!(changed_by(|record, _| {
        let bind = MountKind::Bind {
            source: "/srv".into(),
            create_source: true,
            propagation: Propagation::Rslave,
            recursive: true,
        };
        let volume = Mount::parse_bind("cache:/data/deep").unwrap().kind;
        let tmpfs = TmpfsOptions {
            size_bytes: Some(1 << 20),
            mode: Some(0o700),
            options: vec!["exec".into()],
        };
        record.mounts = vec![
            point("/data/deep", volume, "/volumes/cache/_data"),
            point("/data", bind, "/srv"),
            point("/dev/shm", MountKind::Tmpfs(tmpfs), ""),
            point(
                "/etc/hosts",
                Mount::parse_bind("/my/hosts:/etc/hosts").unwrap().kind,
                "/my/hosts",
            ),
        ];
    }));
}

#[test]
fn terminal_user_and_directory() {
    insta::assert_snapshot!(changed_by(|record, _| {
        record.config.tty = true;
        record.config.open_stdin = true;
        record.config.user = "app:staff".into();
        record.config.workdir = "/srv".into();
        record.config.env = vec!["PATH".into(), "TERM=dumb".into()];
        record.config.domainname = "example.org".into();
        record.host.console_size = Some(crate::domain::TerminalSize { rows: 24, columns: 80 });
        record.host.log.driver = LogDriver::None;
    }));
}

#[test]
fn the_same_container_gives_the_same_document() {
    assert_eq!(text(&record(), &facts()), text(&record(), &facts()));
    let _: PathBuf = facts().log;
}
