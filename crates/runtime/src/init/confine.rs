//! Giving up what the program must not have.
//!
//! The order is the kernel's: a filter needs CAP_SYS_ADMIN or no-new-privileges,
//! so it is loaded while the first is there, or last of all under the second, when
//! it need not allow what this does.

use rustix::{
    process::{Resource, Rlimit as Limit, Signal, setrlimit, umask},
    thread::{Gid, Uid},
};
use shoal_sys::{caps, seccomp::Program};

use super::failed;
use crate::{
    plan::{Confinement, Rlimit},
    protocol::Failure,
    user::Identity,
};

/// Confines the calling process as its program is to be. What is left to do is
/// only to execute it.
pub(super) fn confine(
    confinement: &Confinement,
    identity: &Identity,
    mask: Option<u32>,
    dies_with_maker: bool,
) -> Result<(), Failure> {
    if confinement.new_keyring {
        shoal_sys::keyring::new_session().map_err(failed("session keyring"))?;
    }
    for limit in &confinement.rlimits {
        set_rlimit(limit, confinement.rlimits_lenient)?;
    }
    umask(rustix::fs::Mode::from_raw_mode(mask.unwrap_or(0o022)));
    shoal_sys::process::default_signals().map_err(failed("signals"))?;
    if confinement.no_new_privileges {
        rustix::thread::set_no_new_privs(true).map_err(failed("no new privileges"))?;
    }
    caps::limit_bounding(confinement.bounding).map_err(failed("bounding capabilities"))?;
    if !confinement.no_new_privileges {
        load(confinement.seccomp.as_deref())?;
    }
    become_user(confinement, identity)?;
    if dies_with_maker {
        // The program goes with its shim. Changing the user would reset this.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(failed("parent death signal"))?;
    }
    if confinement.no_new_privileges {
        load(confinement.seccomp.as_deref())?;
    }
    Ok(())
}

fn become_user(confinement: &Confinement, identity: &Identity) -> Result<(), Failure> {
    rustix::thread::set_keep_capabilities(true).map_err(failed("keeping capabilities"))?;
    let groups: Vec<Gid> = identity.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    rustix::thread::set_thread_groups(&groups).map_err(failed("further groups"))?;
    let gid = Gid::from_raw(identity.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(failed(format!("group {}", identity.gid)))?;
    let uid = Uid::from_raw(identity.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(failed(format!("user {}", identity.uid)))?;
    rustix::thread::set_keep_capabilities(false).map_err(failed("keeping capabilities"))?;
    caps::set(confinement.effective, confinement.permitted, confinement.inheritable)
        .map_err(failed("capabilities"))?;
    caps::set_ambient(confinement.ambient).map_err(failed("ambient capabilities"))
}

fn load(program: Option<&Program>) -> Result<(), Failure> {
    program.map_or(Ok(()), |program| program.load().map_err(failed("seccomp")))
}

fn set_rlimit(limit: &Rlimit, lenient: bool) -> Result<(), Failure> {
    let value = |number: u64| (number != u64::MAX).then_some(number);
    let asked = Limit { current: value(limit.soft), maximum: value(limit.hard) };
    match setrlimit(limit.resource, asked) {
        Err(rustix::io::Errno::PERM) if lenient => keep_hard_limit(limit.resource, asked.current),
        other => other.map_err(failed(format!("rlimit {:?}", limit.resource))),
    }
}

/// As near to what was asked for as the hard limit in force lets.
fn keep_hard_limit(resource: Resource, soft: Option<u64>) -> Result<(), Failure> {
    let hard = rustix::process::getrlimit(resource).maximum;
    let soft = match (soft, hard) {
        (Some(soft), Some(hard)) => Some(soft.min(hard)),
        (None, hard) => hard,
        (soft, None) => soft,
    };
    setrlimit(resource, Limit { current: soft, maximum: hard })
        .map_err(failed(format!("rlimit {resource:?}")))
}
