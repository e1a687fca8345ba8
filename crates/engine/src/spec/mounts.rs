//! What is mounted into a container.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount as OciMount;

use super::Facts;
use crate::container::record::Record;
use crate::domain::{IpcMode, Mount, MountKind, MountPoint, Propagation, TmpfsOptions};

/// `/dev/shm` of a container that did not choose: 64 MiB, Docker's.
const DEFAULT_SHM_BYTES: u64 = 64 << 20;

/// All mounts, parents before children. A mount of the user takes the place of a
/// default one at the same path, and of the default ones below it; the files of
/// `/etc` are mounted into a `/etc` of the user, too.
pub(super) fn mounts(record: &Record, facts: &Facts) -> Vec<OciMount> {
    let chosen = &record.mounts;
    let mut mounts = standard(record);
    mounts.retain(|mount| {
        !chosen.iter().any(|point| mount.destination().starts_with(&point.mount.destination))
    });
    let mut later = etc(record, facts);
    later.retain(|mount| {
        !chosen.iter().any(|point| Path::new(&point.mount.destination) == mount.destination())
    });
    later.extend(chosen.iter().map(user));
    later.sort_by_key(|mount| mount.destination().components().count());
    mounts.extend(later);
    mounts
}

/// What the root mount needs to be for the mounts of the user to travel.
pub(super) fn root_propagation(record: &Record) -> Option<&'static str> {
    let mut found = None;
    for point in &record.mounts {
        if let MountKind::Bind { propagation, .. } = &point.mount.kind {
            match propagation {
                Propagation::Rshared | Propagation::Shared => return Some("rshared"),
                Propagation::Rslave | Propagation::Slave => found = Some("rslave"),
                Propagation::Rprivate | Propagation::Private => {}
            }
        }
    }
    found
}

fn standard(record: &Record) -> Vec<OciMount> {
    let host = &record.host;
    let sys = if host.privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sys]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", sys]),
    ];
    // Shows the queues of the IPC namespace it is mounted in, the node's own, too.
    mounts.push(mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
    mounts.extend(shm(record));
    mounts
}

fn shm(record: &Record) -> Option<OciMount> {
    let size = record.host.shm_size_bytes.unwrap_or(DEFAULT_SHM_BYTES);
    match &record.host.ipc_mode {
        IpcMode::None => None,
        IpcMode::Host => Some(bind(Path::new("/dev/shm"), "/dev/shm", false)),
        _ => Some(mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={size}")],
        )),
    }
}

fn etc(record: &Record, facts: &Facts) -> Vec<OciMount> {
    let Some(files) = &facts.etc else { return Vec::new() };
    let read_only = record.host.readonly_rootfs;
    vec![
        bind(&files.resolv_conf, "/etc/resolv.conf", read_only),
        bind(&files.hostname, "/etc/hostname", read_only),
        bind(&files.hosts, "/etc/hosts", read_only),
    ]
}

fn user(point: &MountPoint) -> OciMount {
    let Mount { destination, kind, read_only } = &point.mount;
    match kind {
        MountKind::Bind { propagation, recursive, .. } => {
            let how = if *recursive { "rbind" } else { "bind" };
            let options = bind_options(how, *read_only, propagation.as_str());
            made(destination, "bind", point.source.clone(), options)
        }
        MountKind::Volume { .. } => bind(&point.source, destination, *read_only),
        MountKind::Tmpfs(options) => {
            made(destination, "tmpfs", PathBuf::from("tmpfs"), tmpfs_options(options, *read_only))
        }
    }
}

/// Docker's defaults, then the options given; a word takes its opposite's place.
fn tmpfs_options(tmpfs: &TmpfsOptions, read_only: bool) -> Vec<String> {
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(Into::into).into();
    for option in &tmpfs.options {
        let opposite = match option.as_str() {
            "exec" => "noexec",
            "suid" => "nosuid",
            "dev" => "nodev",
            "rw" => "ro",
            _ => "",
        };
        options.retain(|other| other != opposite && other != option);
        options.push(option.clone());
    }
    if let Some(size) = tmpfs.size_bytes {
        options.push(format!("size={size}"));
    }
    if let Some(mode) = tmpfs.mode {
        options.push(format!("mode={mode:o}"));
    }
    if read_only && !options.iter().any(|option| option == "ro") {
        options.push("ro".into());
    }
    options
}

fn bind(source: &Path, destination: &str, read_only: bool) -> OciMount {
    made(destination, "bind", source.into(), bind_options("rbind", read_only, "rprivate"))
}

/// Without a word about writing, what is read-only on the host stays so: `rw` would be taken to
/// mean every mount below the source, too.
/// What comes along from below the source is as read-only as the mount itself, as Docker has it.
fn bind_options(how: &str, read_only: bool, propagation: &str) -> Vec<String> {
    let read_only = read_only.then_some(if how == "rbind" { "rro" } else { "ro" });
    [Some(how), read_only, Some(propagation)].into_iter().flatten().map(Into::into).collect()
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> OciMount {
    let options = options.iter().map(|&option| option.into()).collect();
    made(destination, kind, source.into(), options)
}

fn made(destination: &str, kind: &str, source: PathBuf, options: Vec<String>) -> OciMount {
    let mut mount = OciMount::default();
    mount
        .set_destination(destination.into())
        .set_typ(Some(kind.into()))
        .set_source(Some(source))
        .set_options(Some(options));
    mount
}
