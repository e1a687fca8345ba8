//! Leaving namespaces: for a process that is about to become a machine.

use std::io;

use rustix::thread::UnshareFlags;

/// The namespaces a node of a local cluster does not share with its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine;

impl Machine {
    /// Leaves the mount, UTS, IPC, network and pid namespaces of the host.
    /// The pid namespace is entered by the next child only
    /// (`pid_namespaces(7)`).
    ///
    /// # Errors
    /// The kernel's, and `InvalidInput` when this process has more than one
    /// thread: the others would stay behind.
    pub fn unshare(self) -> io::Result<()> {
        if std::fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "only a process with one thread can leave its namespaces whole",
            ));
        }
        let flags = UnshareFlags::NEWNS
            | UnshareFlags::NEWUTS
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWPID;
        // SAFETY: the flag that is unsafe, FILES, is not among these, and the
        // process has no other thread.
        unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
    }
}
