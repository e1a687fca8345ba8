//! One more process in a container: into its namespaces, then as the first one.

use std::{
    convert::Infallible,
    os::fd::{AsFd, BorrowedFd},
};

use shoal_sys::{
    process::{self, Namespaces},
    root::Root,
};

use super::command::MissingDir;
use super::stdio::ProcessStdio;
use super::{command, confine, failed, give_up, identity, install, new_session, terminal};
use crate::{handshake::ProcessEnd, plan::ProcessPlan, protocol::Failure};

/// Everything the process brings from the shim.
#[derive(Debug)]
pub(crate) struct ExecIngredients<'a> {
    pub(crate) process: &'a ProcessPlan,
    /// The container's first process.
    pub(crate) init: BorrowedFd<'a>,
    /// Which of its namespaces are not the shim's own. It was born into the pid
    /// namespace.
    pub(crate) namespaces: Namespaces,
    /// Pipes; `None`: a terminal is to be made.
    pub(crate) stdio: Option<ProcessStdio>,
    pub(crate) socket: ProcessEnd,
    /// End with the process that made it.
    pub(crate) dies_with_maker: bool,
}

/// Becomes a further process of a container. Does not return.
pub(crate) fn exec(ingredients: ExecIngredients<'_>) -> ! {
    let mut ingredients = ingredients;
    let stdio = ingredients.stdio.take();
    match run(&ingredients, stdio) {
        Ok(never) => match never {},
        Err(failure) => give_up(&ingredients.socket, &failure),
    }
}

fn run(
    ingredients: &ExecIngredients<'_>,
    stdio: Option<ProcessStdio>,
) -> Result<Infallible, Failure> {
    let ExecIngredients { process, init, namespaces, socket, dies_with_maker, .. } = ingredients;
    // The control group first: a cgroup namespace begins where its maker stands.
    socket.wait_joined().map_err(failed("waiting for the control group"))?;
    process::join(*init, namespaces.with(Namespaces::MOUNT))
        .map_err(failed("joining the container's namespaces"))?;
    // From here on `/` is the container's root.
    let root = Root::at("/").map_err(failed("the container's root"))?;
    let stdio = match stdio {
        Some(stdio) => stdio,
        None => {
            let (master, slave) = terminal::create(&root, process.size)?;
            socket.terminal(master.as_fd()).map_err(failed("handing over the terminal"))?;
            ProcessStdio::Terminal(slave)
        }
    };
    let identity = identity::resolve(&root, &process.user)?;
    new_session(stdio.terminal())?;
    stdio.give_to(identity.uid);
    install(stdio, &[socket.as_fd(), root.as_fd()])?;
    let command = command::prepare(process, &identity, root, MissingDir::Refuse)?;
    socket.ready().map_err(failed("reporting"))?;
    socket.wait_go().map_err(failed("waiting for the start"))?;
    confine::confine(&process.confinement, &identity, process.umask, *dies_with_maker)?;
    Err(command.execute())
}
