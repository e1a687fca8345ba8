//! Which namespaces a container's processes are born into, enter and leave.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use shoal_sys::process::{self, Namespaces};

use super::failed;
use crate::{
    plan::{NamespacePlan, Placement},
    protocol::{Failure, Reason},
};

/// What the first process is born into.
pub(super) fn new_namespaces(plan: &NamespacePlan) -> Namespaces {
    // The cgroup namespace begins where the process stands, so it is made later,
    // by the process itself.
    let pairs = [
        (&plan.pid, Namespaces::PID),
        (&plan.network, Namespaces::NETWORK),
        (&plan.uts, Namespaces::UTS),
        (&plan.ipc, Namespaces::IPC),
    ];
    pairs
        .into_iter()
        .filter(|(placement, _)| **placement == Placement::New)
        .fold(Namespaces::MOUNT, |set, (_, one)| set.with(one))
}

/// What a further process has to enter.
pub(crate) fn joined_by_execs(plan: &NamespacePlan) -> Namespaces {
    let pairs = [
        (&plan.network, Namespaces::NETWORK),
        (&plan.uts, Namespaces::UTS),
        (&plan.ipc, Namespaces::IPC),
        (&plan.cgroup, Namespaces::CGROUP),
    ];
    pairs
        .into_iter()
        .filter(|(placement, _)| **placement != Placement::Host)
        .fold(Namespaces::MOUNT, |set, (_, one)| set.with(one))
}

pub(super) fn namespaces_to_join(
    plan: &NamespacePlan,
    netns: Option<OwnedFd>,
) -> Result<Vec<(OwnedFd, Namespaces)>, Failure> {
    let mut list = Vec::new();
    match (&plan.network, netns) {
        (Placement::FromEngine, Some(netns)) => list.push((netns, Namespaces::NETWORK)),
        (Placement::FromEngine, None) => {
            return Err(Failure::new(Reason::Invalid, "no network namespace came"));
        }
        _ => {}
    }
    let pairs = [
        (&plan.network, Namespaces::NETWORK),
        (&plan.uts, Namespaces::UTS),
        (&plan.ipc, Namespaces::IPC),
        (&plan.cgroup, Namespaces::CGROUP),
    ];
    for (placement, kind) in pairs {
        if let Placement::Path(path) = placement {
            let file = File::open(path).map_err(failed(path.display()))?;
            list.push((file.into(), kind));
        }
    }
    Ok(list)
}

/// A pid namespace is joined by being born into it: for as long as the returned
/// value lives, this process's children are.
pub(super) fn join_pid_for_children(
    plan: &NamespacePlan,
) -> Result<Option<ChildrenElsewhere>, Failure> {
    let Placement::Path(path) = &plan.pid else { return Ok(None) };
    let target = File::open(path).map_err(failed(path.display()))?;
    ChildrenElsewhere::enter(target.as_fd()).map(Some)
}

/// While it lives, children are born into another pid namespace.
pub(super) struct ChildrenElsewhere {
    own: File,
}

impl ChildrenElsewhere {
    /// `target`: a pid namespace, or a pidfd of a process in it.
    pub(super) fn enter(target: std::os::fd::BorrowedFd<'_>) -> Result<Self, Failure> {
        let own = File::open("/proc/self/ns/pid").map_err(failed("own pid namespace"))?;
        process::join(target, Namespaces::PID).map_err(failed("joining the pid namespace"))?;
        Ok(Self { own })
    }
}

impl Drop for ChildrenElsewhere {
    fn drop(&mut self) {
        // Into the namespace this process lives in: the kernel always allows it.
        // In the new child there is nothing to restore, and the call harmless.
        let _ = process::join(self.own.as_fd(), Namespaces::PID);
    }
}
