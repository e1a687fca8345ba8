//! The making of a process, from inside: what runs between fork and exec.
//!
//! [`container`] and [`exec`] are called in a fresh copy of the shim, which has
//! one thread, so they may do anything a program may. They never return: the
//! process becomes its program, or tells the shim why not and ends.
//!
//! Invariants: until the program runs, the process cannot be traced by anything in
//! the container (the shim is not dumpable, and so is its copy); no descriptor of
//! the host's is open any more when the working directory and the program are
//! looked for, and none but 0, 1 and 2 survives into the program; every path of the
//! container is resolved inside its root.

use std::{
    fmt::Display,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::{
    handshake::ProcessEnd,
    protocol::{Failure, Reason},
};

mod cgroups;
mod command;
mod confine;
mod container;
mod devices;
mod exec;
mod identity;
mod masks;
mod mounts;
mod rootfs;
mod stdio;
mod sysctl;
mod terminal;

pub(crate) use container::{Ingredients, container};
pub(crate) use exec::{ExecIngredients, exec};
pub(crate) use stdio::ProcessStdio;
pub(crate) use terminal::resize;

/// Status of a process that could not become its program and has nobody left to
/// tell why.
const UNTOLD: i32 = 127;

/// A failure of the machine's: what was tried, and what the kernel said.
fn failed<E: Display>(what: impl Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(Reason::Failed, format!("{what}: {error}"))
}

/// Reports and ends.
fn give_up(socket: &ProcessEnd, failure: &Failure) -> ! {
    socket.failed(failure);
    shoal_sys::process::exit_now(UNTOLD)
}

/// Makes 0, 1 and 2 of these and closes everything else but `kept`, which the
/// program does not inherit. From here on `/proc/self/fd` leads nowhere: a path of
/// the image's choosing may go through it (CVE-2024-21626).
fn install(stdio: ProcessStdio, kept: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    let [input, output, errors] = stdio.ends();
    rustix::stdio::dup2_stdin(input).map_err(failed("standard input"))?;
    rustix::stdio::dup2_stdout(output).map_err(failed("standard output"))?;
    rustix::stdio::dup2_stderr(errors).map_err(failed("standard error"))?;
    // By its owner: what follows closes under the feet of those who are left.
    drop(stdio);
    shoal_sys::process::close_on_exec_from(3)
        .and_then(|()| shoal_sys::process::close_all_but(kept))
        .map_err(failed("closing descriptors"))
}

/// An own session with the terminal as its controlling one.
fn new_session(terminal: Option<&OwnedFd>) -> Result<(), Failure> {
    rustix::process::setsid().map_err(failed("new session"))?;
    if let Some(terminal) = terminal {
        rustix::process::ioctl_tiocsctty(terminal.as_fd())
            .map_err(failed("controlling terminal"))?;
    }
    Ok(())
}
