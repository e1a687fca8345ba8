//! Making processes with their namespaces, and becoming another program.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions};

/// Namespaces, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(u64);

impl Namespaces {
    /// None.
    pub const NONE: Self = Self(0);
    /// Mounts.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// Control groups as seen from inside.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    /// Host name.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// System V and POSIX queues.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// Process ids.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// Network.
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u64);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are in.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Which of two processes returned from [`fork_into`].
#[derive(Debug)]
pub enum Forked {
    /// The one that asked.
    Parent(Child),
    /// The new one: a copy of the other, in its new namespaces.
    Child,
}

/// A process made by [`fork_into`], to be waited for.
#[derive(Debug)]
pub struct Child {
    /// Its id as seen from here.
    pub pid: i32,
    /// Readable when it has ended; signals through it cannot reach a stranger.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// linux/sched.h; too wide for libc's constant.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` (linux/sched.h), all of it.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Forks into new namespaces and, on version 2, straight into a control group.
///
/// # Errors
/// `InvalidInput` when the calling process has more than one thread: the child
/// would have locks nobody ever gives back. The kernel's otherwise.
pub fn fork_into(new: Namespaces, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    // For a process with one thread this does nothing; with more it is an error.
    // SAFETY: takes a number only and, as just said, changes nothing.
    if unsafe { libc::unshare(libc::CLONE_THREAD) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: new.0 | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a fork: the child has its own copy of all
    // memory and, as there is one thread, of a consistent state. The arguments
    // live until the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut args), size_of_val(&args))
    };
    match result {
        0 => Ok(Forked::Child),
        pid if pid > 0 => {
            // SAFETY: the kernel stored a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent(Child { pid: pid as i32, pidfd }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

impl Child {
    /// How it ended, if it has. The process is collected: ask no more after `Some`.
    pub fn ended(&self) -> io::Result<Option<Ended>> {
        wait(self.pidfd.as_fd(), WaitIdOptions::NOHANG)
    }

    /// Waits for its end.
    pub fn wait(&self) -> io::Result<Ended> {
        wait(self.pidfd.as_fd(), WaitIdOptions::empty())?
            .ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Waits for its end, but not for ever: `None` when the time is up.
    pub fn wait_for(&self, patience: Duration) -> io::Result<Option<Ended>> {
        let begin = Instant::now();
        loop {
            let ended = self.ended()?;
            let left = patience.saturating_sub(begin.elapsed());
            if ended.is_some() || left.is_zero() {
                return Ok(ended);
            }
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a signal; `NotFound` (ESRCH) if it has ended.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        signal(self.pidfd.as_fd(), number)
    }
}

fn wait(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> io::Result<Option<Ended>> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), options | WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(None) => return Ok(None),
            Ok(Some(status)) => {
                let ended = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ended::Exited(code),
                    (None, Some(number)) => Ended::Signaled(number),
                    (None, None) => return Err(io::ErrorKind::InvalidData.into()),
                };
                return Ok(Some(ended));
            }
        }
    }
}

/// Sends a signal to the process behind a pidfd: any number the kernel knows,
/// real-time signals included.
///
/// # Errors
/// ESRCH if it has ended, `InvalidInput` for a number that is no signal.
pub fn signal(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    // SAFETY: takes a descriptor, a number and no information.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a signal by process id, which must not have been collected yet.
pub fn signal_pid(pid: i32, number: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: takes numbers only.
    if unsafe { libc::kill(pid, number) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A pidfd of a running process.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Moves the calling thread into namespaces of the process behind `fd`, a pidfd,
/// or into the one namespace `fd` is. The pid namespace takes effect for children.
pub fn join(fd: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: takes numbers only; memory is not touched.
    let result = unsafe { libc::setns(fd.as_raw_fd(), namespaces.0 as libc::c_int) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves namespaces for new, empty ones.
pub fn leave(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: takes a number only, and `Namespaces` has no flag that affects
    // memory or descriptors.
    if unsafe { libc::unshare(namespaces.0 as libc::c_int) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives the calling thread a copy of the mounts of its own, and its own working
/// directory and root, which it can then enter.
pub fn leave_mounts() -> io::Result<()> {
    // SAFETY: takes a number only; neither flag affects memory or descriptors.
    if unsafe { libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed now, so no owner in this
    // process loses its descriptor.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor from `first` on. For the beginning of a program, before
/// it has opened anything: what is closed was inherited and has no owner here.
pub fn close_inherited(first: u32) {
    // SAFETY: by the contract above no owner in this process loses its descriptor;
    // one that did would only see errors, as descriptors are checked by the kernel.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Closes every descriptor from 3 on but those in `kept`. For a process that will
/// only become another program or end: whoever owned one of the others, in frames
/// it never returns to, does not run again.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for number in kept {
        if number > first {
            close_between(first, number - 1)?;
        }
        first = first.max(number + 1);
    }
    close_between(first, u32::MAX)
}

fn close_between(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: by the contract of the only caller no owner uses its descriptor
    // again; one that did would only see errors, as the kernel checks them.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The highest signal number, real-time ones included.
const LAST_SIGNAL: libc::c_int = 64;

/// Gives signals back their usual meaning: what a program expects to find. What
/// this process or whoever started it ignored would be inherited.
pub fn default_signals() -> io::Result<()> {
    // The kernel's structure, all zero: handler SIG_DFL, no flags, nothing masked.
    let default = [0_u64; 4];
    for number in 1..=LAST_SIGNAL {
        // By system call, as the C library keeps two of them from its callers (and
        // its `posix_spawn` leaves those ignored).
        // SAFETY: no handler is installed, and `default` is as large as the
        // structure on every architecture we know. KILL and STOP fail, which
        // changes nothing.
        unsafe {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, 8)
        };
    }
    // SAFETY: an all-zero set is a valid, empty one.
    let result = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ignores what asks a process to end politely, for one that ends when its work
/// does. The next program has to be given them back ([`default_signals`]).
pub fn ignore_polite_ends() {
    for number in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
}

/// Becomes another program. Returns only on failure.
pub fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end with a null pointer, and the strings they point to
    // are borrowed until the call returns, if it does.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends the calling process at once, without running anything on the way out.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: does not return and touches no memory.
    unsafe { libc::_exit(status) }
}

/// Gives memory that was freed back to the kernel: for a process that did its
/// big work at the start and will idle for long.
pub fn trim_memory() {
    // SAFETY: glibc's own call, safe at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_does_not_fork() {
        // The test harness has at least two.
        let refused = std::thread::spawn(|| fork_into(Namespaces::NONE, None)).join().unwrap();
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn only_what_is_kept_stays_open() {
        use std::os::fd::IntoRawFd;
        let open = || std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        // SAFETY: takes a number only.
        let is_open = |fd: RawFd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
        let thread = std::thread::spawn(move || {
            // SAFETY: the thread has its own table from here on, opens all it uses
            // itself, and ends with it.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            let all = [open(), open(), open(), open()];
            // SAFETY: open, as just said, and not closed while borrowed.
            let kept = [3, 1].map(|at| unsafe { BorrowedFd::borrow_raw(all[at]) });
            close_all_but(&kept).unwrap();
            all.map(is_open)
        });
        assert_eq!(thread.join().unwrap(), [false, true, false, true]);
    }

    #[test]
    fn signals_go_through_the_descriptor() {
        let mut child =
            std::process::Command::new("/bin/busybox").args(["sleep", "1000"]).spawn().unwrap();
        let pidfd = open_pidfd(child.id() as i32).unwrap();
        signal(pidfd.as_fd(), libc::SIGKILL).unwrap();
        let status = child.wait().unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        let gone = signal(pidfd.as_fd(), 0).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
    }
}
