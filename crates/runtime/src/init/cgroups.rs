//! Control groups as a container sees them: read-only unless asked for otherwise.
//!
//! A version 1 hierarchy cannot be mounted read-only by its own option (the
//! kernel ignores it), so each is a bind mount with the read-only attribute.

use std::os::fd::{AsFd, OwnedFd};

use shoal_sys::{
    cgroup::{Cgroup, Layout},
    mount::{self, Attributes, Change, FileSystem, Propagation},
    root::Root,
};

use super::{
    failed,
    mounts::{attach, kernel_place},
};
use crate::{
    plan::MountPlan,
    protocol::{Failure, Reason},
};

/// Room for the directories and links of all controllers.
const TMPFS_OPTIONS: [(&str, &str); 3] = [("mode", "755"), ("size", "64k"), ("nr_inodes", "64")];

/// Mounts them, and then, while there can still be made places for it, what lies on top.
pub(super) fn mount(
    root: &Root,
    plan: &MountPlan,
    cgroup: Option<&Cgroup>,
    writable: bool,
    own_namespace: bool,
    mount_on_top: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let cgroup = cgroup.ok_or_else(|| {
        Failure::new(Reason::Invalid, "a cgroup mount needs a container with a control group")
    })?;
    let access = if writable { Attributes::default() } else { Attributes::READ_ONLY };
    let attributes =
        access.with(Attributes::NO_SUID).with(Attributes::NO_DEV).with(Attributes::NO_EXEC);
    let target = kernel_place(root, &plan.destination)?;
    match cgroup.layout() {
        Layout::V2(_) => {
            let made = version_2(cgroup, attributes, own_namespace)
                .map_err(failed("mounting control groups"))?;
            attach(&made, target.as_fd(), &plan.destination)?;
            mount_on_top()
        }
        Layout::V1(_) => {
            let base = version_1(root, plan, cgroup, attributes, &target)?;
            mount_on_top()?;
            let change = Change { set: attributes, ..Change::default() };
            mount::change(&base, change).map_err(failed("read-only control groups"))
        }
    }
}

/// With an own namespace a new mount begins at the container's group. Without one the
/// container sees where it stands in the whole tree, so that is what is mounted; bound,
/// as a new mount from the host's own namespace would change the tree's options
/// (`nsdelegate`) for everybody.
fn version_2(
    cgroup: &Cgroup,
    attributes: Attributes,
    own_namespace: bool,
) -> std::io::Result<OwnedFd> {
    if own_namespace {
        return FileSystem::new("cgroup2")?.mount(attributes);
    }
    let tree = cgroup.layout().hierarchies().first().ok_or(std::io::ErrorKind::NotFound)?;
    bound(&tree.mount, attributes)
}

/// A directory, still writable, with each tree in it.
fn version_1(
    root: &Root,
    plan: &MountPlan,
    cgroup: &Cgroup,
    attributes: Attributes,
    target: &OwnedFd,
) -> Result<OwnedFd, Failure> {
    let make = || -> std::io::Result<OwnedFd> {
        let system = FileSystem::new("tmpfs")?;
        for (name, value) in TMPFS_OPTIONS {
            system.option(name, Some(value))?;
        }
        system.mount(attributes.without(Attributes::READ_ONLY))
    };
    let base = make().map_err(failed("mounting control groups"))?;
    attach(&base, target.as_fd(), &plan.destination)?;
    for (tree, dir) in cgroup.dirs() {
        // `cpu,cpuacct` together, as on the host, and each by its own name.
        let name = tree.controllers.join(",");
        let place = plan.destination.join(&name);
        let copy = bound(&dir, attributes).map_err(failed(format!("control group {name}")))?;
        let place_fd = root.make_dir(&place, 0o755).map_err(failed(place.display()))?;
        attach(&copy, place_fd.as_fd(), &place)?;
        if tree.controllers.len() > 1 {
            for alias in &tree.controllers {
                rustix::fs::symlinkat(&name, &base, alias)
                    .map_err(failed(format!("control group {alias}")))?;
            }
        }
    }
    Ok(base)
}

fn bound(dir: &std::path::Path, attributes: Attributes) -> std::io::Result<OwnedFd> {
    let copy = mount::copy_path(dir, false)?;
    let propagation = Some(Propagation::Private);
    mount::change(&copy, Change { set: attributes, propagation, ..Change::default() })?;
    Ok(copy)
}
