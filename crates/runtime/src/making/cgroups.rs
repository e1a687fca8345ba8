//! The control group of a container that is being made.

use std::os::fd::OwnedFd;

use shoal_sys::cgroup::{Cgroup, Layout};

use super::failed;
use crate::{
    plan::CgroupPlan,
    protocol::{Failure, Reason},
};

/// The group a container is to live in, not made yet.
pub(crate) fn new_cgroup(plan: &CgroupPlan) -> Result<Cgroup, Failure> {
    let layout = Layout::detect().map_err(failed("control groups"))?;
    let cgroup = Cgroup::at(&layout, &plan.path)
        .map_err(failed(format!("control group {}", plan.path.display())))?;
    // One that is there belongs to somebody else, or holds what a crash left; it
    // may even be frozen. Sharing it would mix two containers' limits and ends.
    if cgroup.exists() {
        let text = format!("control group {} exists already", plan.path.display());
        return Err(Failure::new(Reason::Conflict, text));
    }
    Ok(cgroup)
}

/// On version 2 the group must be there before the process; on version 1 it is
/// made beside the process's own preparations.
pub(super) fn prepare_v2(cgroup: &Cgroup) -> Result<Option<OwnedFd>, Failure> {
    if !cgroup.layout().is_v2() {
        return Ok(None);
    }
    cgroup.create().map_err(failed("making the control group"))?;
    cgroup.open_for_clone().map_err(failed("opening the control group"))
}

pub(super) fn join_cgroup(
    cgroup: Option<&Cgroup>,
    plan: Option<&CgroupPlan>,
    pid: i32,
) -> Result<(), Failure> {
    let (Some(cgroup), Some(plan)) = (cgroup, plan) else { return Ok(()) };
    let v1 = !cgroup.layout().is_v2();
    if v1 {
        cgroup.create().map_err(failed("making the control group"))?;
    }
    cgroup.apply(&plan.limits).map_err(failed("limits"))?;
    cgroup.set_devices(&plan.devices).map_err(failed("device rules"))?;
    if v1 {
        cgroup.add(pid).map_err(failed("joining the control group"))?;
    }
    Ok(())
}
