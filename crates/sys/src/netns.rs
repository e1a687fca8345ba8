//! Network namespaces held by descriptor: nothing is ever bound to a path, so
//! a namespace ends with the last process, socket or descriptor that uses it.
//!
//! Entering changes a thread for good, therefore each call does its work on a
//! thread of its own that ends with it.

use std::{
    fs::File,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    thread,
};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// The threads here only make system calls.
const STACK_BYTES: usize = 256 * 1024;

/// Makes a network namespace. Its loopback device is down.
///
/// # Errors
/// The kernel's; mostly missing CAP_SYS_ADMIN.
pub fn create() -> io::Result<OwnedFd> {
    create_with(|_| ()).map(|(fd, ())| fd)
}

/// Makes a network namespace and runs `work` in it, with its descriptor.
///
/// # Errors
/// As [`create`].
pub fn create_with<T: Send>(
    work: impl FnOnce(BorrowedFd<'_>) -> T + Send,
) -> io::Result<(OwnedFd, T)> {
    on_own_thread(|| {
        // SAFETY: NEWNET changes only this thread; the flag that is unsafe,
        // FILES, is not given.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        let fd = current()?;
        let done = work(std::os::fd::AsFd::as_fd(&fd));
        Ok((fd, done))
    })
}

/// Runs `work` on a fresh thread inside the namespace.
///
/// # Errors
/// The kernel's, when `namespace` is no network namespace or may not be
/// entered.
pub fn enter<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    on_own_thread(|| {
        enter_for_good(namespace)?;
        Ok(work())
    })
}

/// Moves the calling thread into the namespace, for good: for threads that
/// belong to one namespace all their life.
///
/// # Errors
/// As [`enter`].
pub fn enter_for_good(namespace: BorrowedFd<'_>) -> io::Result<()> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// The namespace of the calling thread.
///
/// # Errors
/// When /proc is not mounted.
pub fn current() -> io::Result<OwnedFd> {
    File::open("/proc/thread-self/ns/net").map(Into::into)
}

/// The namespace of a process.
///
/// # Errors
/// When there is no such process.
pub fn of_process(pid: u32) -> io::Result<OwnedFd> {
    File::open(format!("/proc/{pid}/ns/net")).map(Into::into)
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn identity(fd: BorrowedFd<'_>) -> (u64, u64) {
        let stat = rustix::fs::fstat(fd).unwrap();
        (stat.st_dev, stat.st_ino)
    }

    #[test]
    fn a_new_namespace_is_entered_and_left() {
        let own = identity(current().unwrap().as_fd());
        let (fd, inside) = create_with(|_| identity(current().unwrap().as_fd())).unwrap();
        assert_ne!(inside, own);
        assert_eq!(identity(fd.as_fd()), inside);
        let again = enter(fd.as_fd(), || identity(current().unwrap().as_fd())).unwrap();
        assert_eq!(again, inside);
        assert_eq!(identity(current().unwrap().as_fd()), own);
    }

    #[test]
    fn only_network_namespaces_can_be_entered() {
        let file = File::open("/proc/self/ns/uts").unwrap();
        let error = enter(file.as_fd(), || ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(of_process(u32::MAX).is_err());
    }
}
