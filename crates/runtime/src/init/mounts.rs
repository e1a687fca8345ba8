//! The spec's mounts: each made detached, its place resolved inside the root, then
//! put there by descriptor.

use std::{
    io::ErrorKind,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::fs::{FileType, FsWord, fstat, fstatfs};
use shoal_sys::{
    mount::{self, Attributes, FileSystem},
    root::Root,
};

use super::failed;
use crate::{
    plan::{MountKind, MountOptions, MountPlan},
    protocol::{Failure, Reason},
};

/// `PROC_SUPER_MAGIC`.
pub(super) const PROC_MAGIC: FsWord = 0x9fa0;
/// File systems that show the kernel: their place must not be reached by a link.
const KERNEL_SYSTEMS: [&str; 4] = ["proc", "sysfs", "cgroup", "cgroup2"];
/// What may be mounted over inside `/proc`: files that only inform.
const COVERABLE_PROC: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
];

/// Makes one mount. The first procfs is also left in `proc`, before anything can
/// have been put on top of it.
pub(super) fn mount(
    root: &Root,
    plan: &MountPlan,
    proc: &mut Option<OwnedFd>,
) -> Result<(), Failure> {
    let place = plan.destination.display();
    match &plan.kind {
        MountKind::Bind { source, recursive } => bind(root, plan, source, *recursive),
        MountKind::FileSystem { kind, source, options } => {
            let made = file_system(kind, source.as_deref(), options, plan.options)
                .map_err(failed(format!("mounting {kind} at {place}")))?;
            let target = if KERNEL_SYSTEMS.contains(&kind.as_str()) {
                kernel_place(root, &plan.destination)?
            } else {
                root.make_dir(&plan.destination, 0o755)
                    .map_err(failed(format!("mount point {place}")))?
            };
            refuse_over_proc(&target, &plan.destination)?;
            attach(&made, target.as_fd(), &plan.destination)?;
            if kind == "proc" && proc.is_none() {
                *proc = Some(made);
            }
            Ok(())
        }
        // Comes later, with the control group itself.
        MountKind::Cgroup { .. } => Ok(()),
    }
}

fn file_system(
    kind: &str,
    source: Option<&str>,
    data: &[(String, Option<String>)],
    options: MountOptions,
) -> std::io::Result<OwnedFd> {
    let system = FileSystem::new(kind)?;
    system.option("source", Some(source.unwrap_or(kind)))?;
    for (name, value) in data {
        system.option(name, value.as_deref())?;
    }
    // Born with its attributes: nothing is below it yet, and nothing to be cleared.
    let made = system.mount(options.set.with(options.set_below))?;
    let rest = MountOptions { propagation: options.propagation, ..MountOptions::default() };
    for change in rest.changes() {
        mount::change(&made, change)?;
    }
    Ok(made)
}

fn bind(root: &Root, plan: &MountPlan, source: &Path, recursive: bool) -> Result<(), Failure> {
    let place = plan.destination.display();
    let text = source.display();
    let copy =
        mount::copy_path(source, recursive).map_err(failed(format!("bind source path {text}")))?;
    for change in plan.options.changes() {
        mount::change(&copy, change).map_err(failed(format!("options of mount {place}")))?;
    }
    let stat = fstat(&copy).map_err(failed(format!("bind source path {text}")))?;
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let target = if is_dir {
        root.make_dir(&plan.destination, 0o755)
    } else {
        root.make_file(&plan.destination)
    };
    let target = target.map_err(|error| match error.kind() {
        // A file onto a directory, or the other way round: the caller's mistake.
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
            let (is, wanted) = if is_dir { ("directory", "file") } else { ("file", "directory") };
            let text = format!(
                "mount point {place} is a {wanted} in the container, and {text} is a {is}: \
                 are you trying to mount a directory onto a file (or vice-versa)?"
            );
            Failure::new(Reason::Invalid, text)
        }
        _ => failed(format!("mount point {place}"))(error),
    })?;
    refuse_over_proc(&target, &plan.destination)?;
    attach(&copy, target.as_fd(), &plan.destination)
}

pub(super) fn attach(
    mount: &OwnedFd,
    target: BorrowedFd<'_>,
    destination: &Path,
) -> Result<(), Failure> {
    mount::attach(mount, target).map_err(failed(format!("mounting at {}", destination.display())))
}

/// The place of a file system that shows the kernel: no link may lead there, or an
/// image could have `/proc` mounted where it likes (CVE-2019-19921).
pub(super) fn kernel_place(root: &Root, destination: &Path) -> Result<OwnedFd, Failure> {
    let what = || format!("mount point {}", destination.display());
    root.make_dir(destination, 0o755).map_err(failed(what()))?;
    root.handle_without_links(destination).map_err(failed(what()))
}

/// Nothing is put over the files of a procfs that tools and runtimes write
/// through, wherever a link has led.
fn refuse_over_proc(target: &OwnedFd, destination: &Path) -> Result<(), Failure> {
    let on_proc = fstatfs(target).is_ok_and(|found| found.f_type == PROC_MAGIC);
    let allowed = COVERABLE_PROC.iter().any(|path| destination == Path::new(path));
    if on_proc && !allowed && destination != Path::new("/proc") {
        return Err(Failure::new(
            Reason::Invalid,
            format!("{:?} cannot be mounted because it is inside /proc", destination),
        ));
    }
    Ok(())
}

/// A read-only, empty directory.
pub(super) fn empty_dir() -> std::io::Result<OwnedFd> {
    let system = FileSystem::new("tmpfs")?;
    system.option("size", Some("0"))?;
    system.option("nr_inodes", Some("2"))?;
    system.option("mode", Some("755"))?;
    let attributes = Attributes::READ_ONLY
        .with(Attributes::NO_SUID)
        .with(Attributes::NO_DEV)
        .with(Attributes::NO_EXEC);
    system.mount(attributes)
}
