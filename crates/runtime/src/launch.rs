//! Starting a shim, cheaply, from a big process with many threads.
//!
//! The child is made by the standard library's `posix_spawn` path (no copy of the
//! daemon's page tables, no code run in a copied address space), so nothing may be
//! done between fork and exec: everything a shim needs travels by its arguments
//! and its first descriptor, one end of a socket pair. The shim does the rest
//! (new session, own working directory) itself.
//!
//! The binary runs from a sealed memory file: what a container could reach of it
//! cannot be written to (CVE-2019-5736), and replacing the installed file while
//! containers run does no harm.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use shoal_model::{Classify, Kind};

use crate::{
    bundle::Bundle,
    protocol::{Operation, Request, encode_request},
};

/// The id of the `Create` request that [`launch`] has already sent; its answer is
/// the first thing to read from [`Launched::control`].
pub const CREATE_REQUEST_ID: u64 = 0;

/// The shim's program, in memory, ready to be run any number of times.
#[derive(Debug)]
pub struct ShimBinary {
    /// Kept open so that `program` stays valid.
    _file: OwnedFd,
    /// `/proc/self/fd/N`: in the child it names the same open file, as
    /// close-on-exec takes effect only after the kernel has opened it.
    program: PathBuf,
}

/// A shim that was started. Read `control` to its end, then [`Launched::reap`].
#[derive(Debug)]
pub struct Launched {
    /// The engine's first connection; the answer to `Create` comes here. Its end
    /// of file says that shim and container are gone and cleaned up.
    pub control: UnixStream,
    /// The process to reap.
    pub process: ShimProcess,
}

/// The shim's process as a child of this one. Dropping it without
/// [`ShimProcess::reap`] is allowed: a later launch then collects it.
#[derive(Debug)]
pub struct ShimProcess {
    child: Option<Child>,
}

/// A shim could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program could not be read into memory.
    #[error("cannot load the shim {}", path.display())]
    Load {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The process could not be started.
    #[error("cannot start a shim for {}", bundle.display())]
    Spawn {
        /// For which bundle.
        bundle: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Classify for LaunchError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

/// Shims whose [`ShimProcess`] was dropped before they ended.
static UNREAPED: Mutex<Vec<Child>> = Mutex::new(Vec::new());

impl ShimBinary {
    /// Reads the program at `path` into a sealed memory file. Once per daemon.
    pub fn open(path: &Path) -> Result<Self, LaunchError> {
        let load = |source| LaunchError::Load { path: path.to_owned(), source };
        let file = File::open(path).map_err(load)?;
        let sealed = shoal_sys::memfd::sealed_copy("shoal-shim", file).map_err(load)?;
        let program = PathBuf::from(format!("/proc/self/fd/{}", sealed.as_raw_fd()));
        Ok(Self { _file: sealed, program })
    }
}

impl ShimProcess {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Collects the process. Blocks until it ends, so call it when `control` has
    /// reached its end: then this takes microseconds.
    pub fn reap(mut self) -> io::Result<()> {
        match self.child.take() {
            Some(mut child) => child.wait().map(|_| ()),
            None => Ok(()),
        }
    }

    /// Kills the shim, and with it the container. For a shim that does not answer.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.as_mut().map_or(Ok(()), Child::kill)
    }
}

impl Drop for ShimProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take()
            && !matches!(child.try_wait(), Ok(Some(_)))
        {
            unreaped().push(child);
        }
    }
}

/// Starts a shim for `bundle` and sends it `Create`, with `netns` if the bundle's
/// configuration says `network_from_engine`. Does not wait for the answer.
pub fn launch(
    shim: &ShimBinary,
    bundle: &Bundle,
    netns: Option<BorrowedFd<'_>>,
) -> Result<Launched, LaunchError> {
    let spawn = |source| LaunchError::Spawn { bundle: bundle.dir().to_owned(), source };
    reap_dropped();
    let (control, theirs) = UnixStream::pair().map_err(spawn)?;
    send_create(&control, netns).map_err(spawn)?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(bundle.shim_log_path())
        .map_err(spawn)?;
    let child = Command::new(&shim.program)
        .arg("shim")
        .arg(bundle.dir())
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .spawn()
        .map_err(spawn)?;
    Ok(Launched { control, process: ShimProcess { child: Some(child) } })
}

/// Collects shims whose [`ShimProcess`] was dropped and which have ended since.
pub fn reap_dropped() {
    unreaped().retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
}

fn unreaped() -> std::sync::MutexGuard<'static, Vec<Child>> {
    // A panic elsewhere cannot have left the list half-changed.
    UNREAPED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn send_create(control: &UnixStream, netns: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut bytes = Vec::new();
    let request = Request { id: CREATE_REQUEST_ID, operation: Operation::Create };
    encode_request(&request, &mut bytes).map_err(io::Error::other)?;
    // A fresh socket's buffer takes a frame of this size whole.
    shoal_sys::fdpass::send(control.as_fd(), &[IoSlice::new(&bytes)], netns.as_slice())?;
    Ok(())
}
