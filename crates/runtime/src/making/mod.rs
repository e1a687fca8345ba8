//! Making a process, from outside: what the shim and the command line share.
//!
//! [`make_container`] and [`make_exec`] return when the process is prepared up to
//! executing its program, [`begin_exec`] before, for who has others to serve. On
//! failure the process is killed; the control group is the caller's to remove.

use std::{
    fmt::Display,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use shoal_sys::{
    cgroup::Cgroup,
    process::{self, Child, Forked, Namespaces},
};

use crate::{
    bundle::Bundle,
    handshake::{self, Message, ShimEnd},
    init::{self, ExecIngredients, Ingredients, ProcessStdio},
    plan::{Confinement, Plan, ProcessPlan},
    protocol::{Failure, Reason},
};

mod cgroups;
mod namespaces;

/// How long a killed process is waited for. One that the kernel holds, at a disk that
/// does not answer, cannot die before that does.
pub(crate) const KILL_DEADLINE: Duration = Duration::from_secs(2);

pub(crate) use cgroups::new_cgroup;
pub(crate) use namespaces::joined_by_execs;

/// What a container is made of, besides its plan.
pub(crate) struct Recipe<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) plan: &'a Plan,
    /// From [`new_cgroup`].
    pub(crate) cgroup: Option<&'a Cgroup>,
    /// `None`: a terminal is to be made.
    pub(crate) stdio: Option<ProcessStdio>,
    pub(crate) netns: Option<OwnedFd>,
    /// Where the start is waited for, if not on the socket of the making; then
    /// the process is also meant to outlive its maker.
    pub(crate) gate: Option<OwnedFd>,
}

/// Where a further process goes.
pub(crate) struct Target<'a> {
    /// The container's first process.
    pub(crate) init: BorrowedFd<'a>,
    /// Its id, of a process that has not been collected.
    pub(crate) init_pid: i32,
    /// From [`joined_by_execs`].
    pub(crate) namespaces: Namespaces,
    pub(crate) cgroup: Option<&'a Cgroup>,
    /// End with the process that makes it.
    pub(crate) dies_with_maker: bool,
}

/// A process that is prepared and not yet its program.
pub(crate) struct Newborn {
    pub(crate) child: Child,
    pub(crate) socket: ShimEnd,
    /// The master side of its terminal.
    pub(crate) terminal: Option<OwnedFd>,
}

/// Makes a container's first process.
pub(crate) fn make_container(recipe: Recipe<'_>) -> Result<Newborn, Failure> {
    let Recipe { bundle, plan, cgroup, stdio, netns, gate } = recipe;
    let unified = cgroup.map(cgroups::prepare_v2).transpose()?.flatten();
    let join = namespaces::namespaces_to_join(&plan.namespaces, netns)?;
    let (socket, theirs) = handshake::pair().map_err(failed("socket pair"))?;
    let new = namespaces::new_namespaces(&plan.namespaces);
    let elsewhere = namespaces::join_pid_for_children(&plan.namespaces)?;
    let forked = process::fork_into(new, unified.as_ref().map(AsFd::as_fd));
    drop(elsewhere);
    let child = match forked.map_err(failed("new process"))? {
        Forked::Parent(child) => child,
        Forked::Child => {
            drop((socket, unified));
            init::container(Ingredients {
                bundle,
                plan,
                cgroup,
                join,
                stdio,
                socket: theirs,
                gate,
            });
        }
    };
    drop((theirs, stdio, gate));
    let mut newborn = Newborn { child, socket, terminal: None };
    let pid = newborn.child.pid;
    let join = || cgroups::join_cgroup(cgroup, plan.cgroup.as_ref(), pid);
    let made =
        introduce(&newborn, &plan.process.confinement, join).and_then(|()| accompany(&mut newborn));
    unless_failed(newborn, made)
}

/// Makes a further process in a container.
pub(crate) fn make_exec(
    plan: &ProcessPlan,
    target: &Target<'_>,
    stdio: Option<ProcessStdio>,
) -> Result<Newborn, Failure> {
    let mut newborn = begin_exec(plan, target, stdio)?;
    let made = accompany(&mut newborn);
    unless_failed(newborn, made)
}

/// Begins a further process in a container: what it says on its socket is the
/// caller's to hear.
pub(crate) fn begin_exec(
    plan: &ProcessPlan,
    target: &Target<'_>,
    stdio: Option<ProcessStdio>,
) -> Result<Newborn, Failure> {
    let &Target { init, namespaces, cgroup, dies_with_maker, .. } = target;
    let (socket, theirs) = handshake::pair().map_err(failed("socket pair"))?;
    let elsewhere = namespaces::ChildrenElsewhere::enter(init)?;
    let child = match fork_beside(target).map_err(failed("new process"))? {
        Forked::Parent(child) => child,
        Forked::Child => {
            drop(socket);
            init::exec(ExecIngredients {
                process: plan,
                init,
                namespaces,
                stdio,
                socket: theirs,
                dies_with_maker,
            });
        }
    };
    drop((elsewhere, theirs, stdio));
    let newborn = Newborn { child, socket, terminal: None };
    let pid = newborn.child.pid;
    let join = || match cgroup {
        Some(cgroup) if !cgroup.layout().is_v2() => {
            cgroup.add(pid).map_err(failed("joining the control group"))
        }
        _ => Ok(()),
    };
    let made = introduce(&newborn, &plan.confinement, join);
    unless_failed(newborn, made)
}

/// Forks into the container's group. One whose processes have handed its
/// controllers down takes none itself any more (version 2's "no internal
/// processes"): then into the group below it in which the first process stands.
fn fork_beside(target: &Target<'_>) -> io::Result<Forked> {
    let Some(cgroup) = target.cgroup else { return process::fork_into(Namespaces::NONE, None) };
    let fork = |group: &Cgroup| {
        let unified = group.open_for_clone()?;
        process::fork_into(Namespaces::NONE, unified.as_ref().map(AsFd::as_fd))
    };
    match fork(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            fork(&cgroup.group_of(target.init_pid)?)
        }
        other => other,
    }
}

impl ShimEnd {
    /// Lets the program run and hears whether it does.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        self.go().map_err(failed("starting"))?;
        match self.receive()? {
            Message::Gone => Ok(()),
            _ => Err(Failure::new(Reason::Failed, "the process sent nonsense")),
        }
    }
}

/// Puts a new process into its control groups while it prepares itself.
fn introduce(
    newborn: &Newborn,
    confinement: &Confinement,
    join: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    set_oom_score(newborn.child.pid, confinement)?;
    join()?;
    // A process that failed and left is heard when it is listened to.
    let _ = newborn.socket.joined();
    Ok(())
}

/// Goes with a new process until it is ready to execute: hears its terminal and
/// its complaints.
fn accompany(newborn: &mut Newborn) -> Result<(), Failure> {
    loop {
        match newborn.socket.receive()? {
            Message::Terminal(master) => newborn.terminal = Some(master),
            Message::Ready => return Ok(()),
            Message::Gone => return Err(died()),
        }
    }
}

/// A process that came this far; one that failed on the way is ended.
fn unless_failed(newborn: Newborn, made: Result<(), Failure>) -> Result<Newborn, Failure> {
    match made {
        Ok(()) => Ok(newborn),
        Err(failure) => {
            abandon(&newborn.child);
            Err(failure)
        }
    }
}

/// The failure of a process that ended without a word.
pub(crate) fn died() -> Failure {
    Failure::new(Reason::Failed, "the process died while being made")
}

/// Ends a process that cannot be used.
pub(crate) fn abandon(child: &Child) {
    // If it has ended already there is only to collect it.
    let _ = child.signal(rustix::process::Signal::KILL.as_raw());
    let _ = child.wait_for(KILL_DEADLINE);
}

/// By the host's own procfs, where the container has no say.
fn set_oom_score(pid: i32, confinement: &Confinement) -> Result<(), Failure> {
    let Some(score) = confinement.oom_score_adj else { return Ok(()) };
    match std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied && confinement.oom_score_lenient =>
        {
            Ok(())
        }
        other => other.map_err(failed("oom_score_adj")),
    }
}

pub(crate) fn failed<E: Display>(what: impl Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(Reason::Failed, format!("{what}: {error}"))
}
