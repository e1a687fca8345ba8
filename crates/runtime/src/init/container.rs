//! The first process of a container, step by step.

use std::os::fd::{AsFd, OwnedFd};

use shoal_sys::{
    cgroup::Cgroup,
    mount::{self, Change, Propagation},
    process::{self, Namespaces},
    root::Root,
};

use super::command::MissingDir;
use super::{
    cgroups,
    command::{self, Command},
    confine, devices, failed, give_up, identity, masks, mounts, rootfs,
};
use super::{install, new_session, stdio::ProcessStdio, sysctl, terminal};
use crate::{
    bundle::Bundle,
    handshake::ProcessEnd,
    plan::{MountKind, Placement, Plan},
    protocol::Failure,
    user::Identity,
};

/// Everything the process brings from the shim.
#[derive(Debug)]
pub(crate) struct Ingredients<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) plan: &'a Plan,
    pub(crate) cgroup: Option<&'a Cgroup>,
    /// Namespaces to enter, besides the new ones it was born into.
    pub(crate) join: Vec<(OwnedFd, Namespaces)>,
    /// Pipes; `None`: a terminal is to be made.
    pub(crate) stdio: Option<ProcessStdio>,
    pub(crate) socket: ProcessEnd,
    /// A listening socket on which the start is waited for instead. Then the
    /// process outlives who made it.
    pub(crate) gate: Option<OwnedFd>,
}

/// Becomes the container's first process. Does not return.
pub(crate) fn container(ingredients: Ingredients<'_>) -> ! {
    let mut ingredients = ingredients;
    let prepared = prepare(&mut ingredients);
    let Ingredients { plan, socket, gate, .. } = &ingredients;
    let (command, identity) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => give_up(socket, &failure),
    };
    let opened;
    let socket = match gate {
        None => {
            // A closed socket: the container was given up, or the shim is gone.
            if socket.wait_go().is_err() {
                process::exit_now(super::UNTOLD);
            }
            socket
        }
        Some(gate) => {
            opened = wait_at(gate);
            &opened
        }
    };
    let confinement = &plan.process.confinement;
    let failure = confine::confine(confinement, &identity, plan.process.umask, gate.is_none())
        .map_or_else(|failure| failure, |()| command.execute());
    give_up(socket, &failure)
}

/// Waits for somebody who says that the program may run, and can be told if it
/// does not.
fn wait_at(gate: &OwnedFd) -> ProcessEnd {
    loop {
        match ProcessEnd::accept(gate) {
            Ok(socket) if socket.wait_go().is_ok() => return socket,
            // One that came and went; the next may mean it.
            Ok(_) => {}
            Err(_) => process::exit_now(super::UNTOLD),
        }
    }
}

/// Everything up to giving up privileges and executing.
fn prepare(ingredients: &mut Ingredients<'_>) -> Result<(Command, Identity), Failure> {
    let join = std::mem::take(&mut ingredients.join);
    let stdio = ingredients.stdio.take();
    let Ingredients { bundle, plan, cgroup, socket, gate, .. } = &*ingredients;
    for (fd, namespaces) in join {
        process::join(fd.as_fd(), namespaces).map_err(failed("joining a namespace"))?;
    }
    let root = build_root(bundle, plan)?;
    let stdio = match stdio {
        Some(stdio) => stdio,
        None => {
            let (master, slave) = terminal::create(&root, plan.process.size)?;
            terminal::mount_console(&root, &slave)?;
            socket.terminal(master.as_fd()).map_err(failed("handing over the terminal"))?;
            ProcessStdio::Terminal(slave)
        }
    };
    names(plan)?;
    socket.wait_joined().map_err(failed("waiting for the control group"))?;
    if plan.namespaces.cgroup == Placement::New {
        process::leave(Namespaces::CGROUP).map_err(failed("cgroup namespace"))?;
    }
    cgroup_mounts(&root, plan, *cgroup)?;
    masks::mask(&root, &plan.masked_paths)?;
    masks::read_only(&root, &plan.read_only_paths)?;
    if plan.root_read_only {
        let change = Change { set: mount::Attributes::READ_ONLY, ..Change::default() };
        mount::change(root.as_fd(), change).map_err(failed("read-only root"))?;
    }
    mount::pivot(root.as_fd()).map_err(failed("pivot_root"))?;
    let identity = identity::resolve(&root, &plan.process.user)?;
    new_session(stdio.terminal())?;
    stdio.give_to(identity.uid);
    let gate = gate.as_ref().map(AsFd::as_fd);
    let kept: Vec<_> = [socket.as_fd(), root.as_fd()].into_iter().chain(gate).collect();
    install(stdio, &kept)?;
    let command = command::prepare(&plan.process, &identity, root, MissingDir::Make)?;
    socket.ready().map_err(failed("reporting"))?;
    Ok((command, identity))
}

/// The root file system with all mounts but the control groups', not yet entered.
fn build_root(bundle: &Bundle, plan: &Plan) -> Result<Root, Failure> {
    // Mounts made here must not appear on the host, and unmounts there may appear
    // here until the old root is gone.
    let slave =
        Change { propagation: Some(Propagation::Slave), recursive: true, ..Change::default() };
    let old_root = mount::handle("/").map_err(failed("the host's root"))?;
    mount::change(&old_root, slave).map_err(failed("making mounts slaves"))?;
    let root = rootfs::mount(bundle, &plan.root)?;
    let mut proc = None;
    for (at, one) in plan.mounts.iter().enumerate() {
        if cgroups_under(plan, at).is_none() {
            mounts::mount(&root, one, &mut proc)?;
        }
    }
    devices::create(&root, &plan.devices)?;
    devices::link(&root)?;
    if !plan.sysctls.is_empty() {
        sysctl::write(proc, &plan.sysctls)?;
    }
    Ok(root)
}

/// The control groups' mount that the mount at this place in the list comes to lie on,
/// by its place. They come last, as they wait for the shim, and so does what is on them.
fn cgroups_under(plan: &Plan, at: usize) -> Option<usize> {
    let destination = &plan.mounts[at].destination;
    plan.mounts[..at].iter().rposition(|below| {
        matches!(below.kind, MountKind::Cgroup { .. })
            && destination.starts_with(&below.destination)
    })
}

fn cgroup_mounts(root: &Root, plan: &Plan, cgroup: Option<&Cgroup>) -> Result<(), Failure> {
    for (at, one) in plan.mounts.iter().enumerate() {
        if let MountKind::Cgroup { writable } = one.kind {
            let own_namespace = plan.namespaces.cgroup == Placement::New;
            let mut on_top =
                (0..plan.mounts.len()).filter(|&on| cgroups_under(plan, on) == Some(at));
            let mount_on_top =
                || on_top.try_for_each(|on| mounts::mount(root, &plan.mounts[on], &mut None));
            cgroups::mount(root, one, cgroup, writable, own_namespace, mount_on_top)?;
        }
    }
    Ok(())
}

fn names(plan: &Plan) -> Result<(), Failure> {
    let own = plan.namespaces.uts != Placement::Host;
    if let Some(name) = plan.hostname.as_deref().filter(|_| own) {
        rustix::system::sethostname(name.as_bytes()).map_err(failed("host name"))?;
    }
    if let Some(name) = plan.domainname.as_deref().filter(|_| own) {
        rustix::system::setdomainname(name.as_bytes()).map_err(failed("domain name"))?;
    }
    Ok(())
}
