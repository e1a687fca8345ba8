//! What the shim and a process it is making say to each other.
//!
//! One socket pair of whole messages. The process does its part while the shim
//! does the control groups' part; both wait for each other twice:
//!
//! ```text
//!  shim                               process (init or exec)
//!   │ control group, limits            │ namespaces, mounts, terminal
//!   │                     Terminal(fd) │
//!   │ ◀────────────────────────────────┤ (only with a terminal)
//!   │ Joined                           │
//!   ├────────────────────────────────▶ │ cgroup namespace and mount, masks, pivot
//!   │                     Ready        │
//!   │ ◀────────────────────────────────┤ waits
//!   │ Go                               │
//!   ├────────────────────────────────▶ │ gives up privileges, executes
//!   │ end of file: it runs             │
//!   │ ◀────────────────────────────────┘
//! ```
//!
//! Instead of any of its messages the process can send `Failed` and end. When the
//! shim is gone the process reads the end of file and ends.

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
        socket_with, socketpair,
    },
};

use crate::protocol::{Failure, Reason};

/// How long making a container may take. Mounts on slow disks, and a first write
/// to a version 1 control group (a grace period of the kernel's) fit many times.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest message: a failure with its text.
const LONGEST: usize = 16 * 1024;

const TERMINAL: u8 = b'T';
const READY: u8 = b'R';
const FAILED: u8 = b'F';
const JOINED: u8 = b'J';
const GO: u8 = b'G';

/// The shim's end.
#[derive(Debug)]
pub(crate) struct ShimEnd(OwnedFd);

/// The process's end.
#[derive(Debug)]
pub(crate) struct ProcessEnd(OwnedFd);

/// What the process said.
#[derive(Debug)]
pub(crate) enum Message {
    /// The master side of its terminal.
    Terminal(OwnedFd),
    /// Everything is prepared.
    Ready,
    /// It became its program, or died.
    Gone,
}

/// A connected pair, both close-on-exec.
pub(crate) fn pair() -> io::Result<(ShimEnd, ProcessEnd)> {
    let (a, b) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((ShimEnd(a), ProcessEnd(b)))
}

/// A listening socket with a name, for a start by somebody who comes later.
pub(crate) fn gate(path: &Path) -> io::Result<OwnedFd> {
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, 1)?;
    Ok(socket)
}

impl ShimEnd {
    /// Goes to the gate at `path`.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// Says that the control group has been joined.
    pub(crate) fn joined(&self) -> io::Result<()> {
        send(&self.0, &[JOINED], None)
    }

    /// Says that the program may run.
    pub(crate) fn go(&self) -> io::Result<()> {
        send(&self.0, &[GO], None)
    }

    /// Waits for the process's next word.
    ///
    /// # Errors
    /// What the process says went wrong; `Timeout` when it says nothing.
    pub(crate) fn receive(&self) -> Result<Message, Failure> {
        self.wait_readable()?;
        self.take()
    }

    /// Takes the process's next word, once this end is readable.
    ///
    /// # Errors
    /// What the process says went wrong.
    pub(crate) fn take(&self) -> Result<Message, Failure> {
        let mut buffer = vec![0; LONGEST];
        let mut fds = Vec::new();
        let count = match shoal_sys::fdpass::receive(&self.0, &mut buffer, &mut fds) {
            // It left words of ours unread. The kernel tells that first, once; its
            // own last words are still there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                shoal_sys::fdpass::receive(&self.0, &mut buffer, &mut fds)
            }
            other => other,
        };
        let count = count.map_err(broken)?;
        match (buffer[..count].split_first(), fds.pop()) {
            (None, _) => Ok(Message::Gone),
            (Some((&READY, _)), _) => Ok(Message::Ready),
            (Some((&TERMINAL, _)), Some(master)) => Ok(Message::Terminal(master)),
            (Some((&FAILED, text)), _) => Err(serde_json::from_slice(text)
                .unwrap_or_else(|_| Failure::new(Reason::Failed, "the process failed"))),
            _ => Err(Failure::new(Reason::Failed, "the process sent nonsense")),
        }
    }

    fn wait_readable(&self) -> Result<(), Failure> {
        let begin = Instant::now();
        loop {
            let left =
                DEADLINE.checked_sub(begin.elapsed()).ok_or_else(|| not_ready_in(DEADLINE))?;
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], timeout.as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(broken(error.into())),
            }
        }
    }
}

impl AsFd for ShimEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for ProcessEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ProcessEnd {
    /// Waits for somebody at the gate.
    pub(crate) fn accept(gate: &OwnedFd) -> io::Result<Self> {
        Ok(Self(accept_with(gate, SocketFlags::CLOEXEC)?))
    }

    /// Hands over the master side of the terminal.
    pub(crate) fn terminal(&self, master: BorrowedFd<'_>) -> io::Result<()> {
        send(&self.0, &[TERMINAL], Some(master))
    }

    /// Says that everything is prepared.
    pub(crate) fn ready(&self) -> io::Result<()> {
        send(&self.0, &[READY], None)
    }

    /// Says what went wrong. Nobody can be told if this fails.
    pub(crate) fn failed(&self, failure: &Failure) {
        let mut message = vec![FAILED];
        message.extend(serde_json::to_vec(failure).unwrap_or_default());
        message.truncate(LONGEST);
        let _ = send(&self.0, &message, None);
    }

    /// Waits until the control group has been joined.
    pub(crate) fn wait_joined(&self) -> io::Result<()> {
        self.expect(JOINED)
    }

    /// Waits until the program may run.
    pub(crate) fn wait_go(&self) -> io::Result<()> {
        self.expect(GO)
    }

    fn expect(&self, wanted: u8) -> io::Result<()> {
        let mut byte = [0];
        match shoal_sys::fdpass::receive(&self.0, &mut byte, &mut Vec::new())? {
            1 if byte[0] == wanted => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn send(socket: &OwnedFd, message: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    shoal_sys::fdpass::send(socket.as_fd(), &[IoSlice::new(message)], fd.as_slice())?;
    Ok(())
}

/// The failure of a process that took too long to make.
pub(crate) fn not_ready_in(deadline: Duration) -> Failure {
    let seconds = deadline.as_secs();
    Failure::new(Reason::Timeout, format!("the process was not ready in {seconds} s"))
}

fn broken(error: io::Error) -> Failure {
    Failure::new(Reason::Failed, format!("talking to the process: {error}"))
}
