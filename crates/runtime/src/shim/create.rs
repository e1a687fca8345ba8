//! Making the container, and starting it: the shim's half.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use shoal_model::Timestamp;
use shoal_sys::{
    cgroup::{Cgroup, Layout},
    process::{self, Child, Forked, Namespaces},
};

use super::{
    Shim,
    container::{Made, Phase},
    io_ends::ShimIo,
    log::Log,
    now,
    requests::conflict,
};
use crate::{
    handshake::{self, Message, ShimEnd},
    init::{self, Ingredients},
    plan::{CgroupPlan, Confinement, NamespacePlan, Placement, Plan, ProcessPlan},
    protocol::{Failure, Reason},
};

/// A process on its way, for [`accompany`].
pub(super) struct Newborn {
    pub(super) child: Child,
    pub(super) socket: ShimEnd,
    /// The master side of its terminal.
    pub(super) terminal: Option<OwnedFd>,
}

impl Shim {
    /// Makes the container up to just before its program runs. On failure nothing
    /// of it is left, and the shim is about to leave.
    pub(super) fn create(&mut self) -> Result<i32, Failure> {
        if !matches!(self.container.phase, Phase::Idle) {
            return Err(conflict("the container has been made already"));
        }
        let result = self.try_create();
        if let Err(failure) = &result {
            self.container.set_ending(Err(failure.clone()));
        }
        self.container.netns = None;
        result
    }

    fn try_create(&mut self) -> Result<i32, Failure> {
        let read = |error: crate::bundle::BundleError| {
            Failure::new(Reason::Invalid, shoal_model::Classify::chain(&error))
        };
        let spec = self.bundle.read_spec().map_err(read)?;
        let config = self.bundle.read_shim_config().map_err(read)?;
        let plan = Plan::new(&self.bundle, &spec, &config)?;
        if let Some(log) = &config.log {
            self.log = Some(
                Log::open(log)
                    .map_err(|error| failed(format!("log {}", log.path.display()))(error))?,
            );
        }
        let cgroup = plan.cgroup.as_ref().map(new_cgroup).transpose()?;
        // From here on the ending cleans up after whatever happens.
        let made = self.container.made.insert(Made {
            // Execs bring their own environment.
            process: ProcessPlan { env: Vec::new(), ..plan.process.clone() },
            cgroup,
            namespaces: joined_by_execs(&plan.namespaces),
            config,
        });
        let unified = made.cgroup.as_ref().map(prepare_v2).transpose()?.flatten();
        let (io, stdio) = if plan.process.terminal {
            (None, None)
        } else {
            let (io, stdio) = ShimIo::pipes(made.config.open_stdin).map_err(failed("pipes"))?;
            (Some(io), Some(stdio))
        };
        let join = namespaces_to_join(&plan.namespaces, self.container.netns.take())?;
        let (socket, theirs) = handshake::pair().map_err(failed("socket pair"))?;
        let new = new_namespaces(&plan.namespaces);
        let born_into_pid = join_pid_for_children(&plan.namespaces)?;
        let forked = process::fork_into(new, unified.as_ref().map(AsFd::as_fd));
        drop(born_into_pid);
        let child = match forked.map_err(failed("new process"))? {
            Forked::Parent(child) => child,
            Forked::Child => {
                drop(socket);
                let bundle = &self.bundle;
                let (plan, cgroup) = (&plan, made.cgroup.as_ref());
                init::container(Ingredients { bundle, plan, cgroup, join, stdio, socket: theirs });
            }
        };
        drop((theirs, stdio));
        let mut newborn = Newborn { child, socket, terminal: None };
        let pid = newborn.child.pid;
        let joined = || join_cgroup(made.cgroup.as_ref(), plan.cgroup.as_ref(), pid);
        if let Err(failure) = accompany(&mut newborn, &plan.process.confinement, joined) {
            abandon(&newborn.child);
            return Err(failure);
        }
        self.container.io = match (io, newborn.terminal) {
            (Some(io), _) => io,
            (None, Some(master)) => {
                ShimIo::terminal(master, made.config.open_stdin).map_err(failed("terminal"))?
            }
            (None, None) => return Err(Failure::new(Reason::Failed, "no terminal came")),
        };
        self.container.phase = Phase::Created { init: newborn.child, socket: newborn.socket };
        Ok(pid)
    }

    /// Runs the program.
    pub(super) fn start(&mut self) -> Result<Timestamp, Failure> {
        let Phase::Created { socket, .. } = &self.container.phase else {
            return Err(conflict("the container is not in the state created"));
        };
        // Before it runs, so that nothing it does can be earlier.
        let started_at = now();
        let result = socket.go().map_err(failed("starting")).and_then(|()| socket.receive());
        match result {
            Ok(Message::Gone) => {}
            Ok(_) => return Err(Failure::new(Reason::Failed, "the process sent nonsense")),
            Err(failure) => {
                if let Some(init) = self.container.init() {
                    abandon(init);
                }
                self.container.set_ending(Err(failure.clone()));
                return Err(failure);
            }
        }
        if let Phase::Created { init, .. } =
            std::mem::replace(&mut self.container.phase, Phase::Idle)
        {
            self.container.phase = Phase::Running { init, started_at, paused: false };
        }
        Ok(started_at)
    }
}

/// Goes with a new process until it is ready to execute: hears its terminal and
/// its complaints, and puts it into its control groups meanwhile.
pub(super) fn accompany(
    newborn: &mut Newborn,
    confinement: &Confinement,
    join: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    set_oom_score(newborn.child.pid, confinement)?;
    let joined = join();
    if joined.is_ok() {
        // A process that failed and left is heard below.
        let _ = newborn.socket.joined();
    }
    joined?;
    loop {
        match newborn.socket.receive()? {
            Message::Terminal(master) => newborn.terminal = Some(master),
            Message::Ready => return Ok(()),
            Message::Gone => {
                return Err(Failure::new(Reason::Failed, "the process died while being made"));
            }
        }
    }
}

/// Ends a process that cannot be used.
pub(super) fn abandon(child: &Child) {
    // If it has ended already there is only to collect it.
    let _ = child.signal(rustix::process::Signal::KILL.as_raw());
    let _ = child.wait();
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

fn new_cgroup(plan: &CgroupPlan) -> Result<Cgroup, Failure> {
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
fn prepare_v2(cgroup: &Cgroup) -> Result<Option<OwnedFd>, Failure> {
    if !cgroup.layout().is_v2() {
        return Ok(None);
    }
    cgroup.create().map_err(failed("making the control group"))?;
    cgroup.open_for_clone().map_err(failed("opening the control group"))
}

fn join_cgroup(
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

fn new_namespaces(plan: &NamespacePlan) -> Namespaces {
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

fn joined_by_execs(plan: &NamespacePlan) -> Namespaces {
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

fn namespaces_to_join(
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
fn join_pid_for_children(plan: &NamespacePlan) -> Result<Option<ChildrenElsewhere>, Failure> {
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

pub(super) fn failed<E: std::fmt::Display>(
    what: impl std::fmt::Display,
) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(Reason::Failed, format!("{what}: {error}"))
}
