//! The three ends a process gets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Gid, Uid, fchown};

/// Standard input, output and error as the process has them.
#[derive(Debug)]
pub(crate) enum ProcessStdio {
    /// Ends of pipes, or the null device for input.
    Pipes { input: OwnedFd, output: OwnedFd, errors: OwnedFd },
    /// One terminal for all three.
    Terminal(OwnedFd),
}

impl ProcessStdio {
    /// The calling process's own three.
    pub(crate) fn inherited() -> std::io::Result<Self> {
        let copy = |end: BorrowedFd<'_>| end.try_clone_to_owned();
        Ok(Self::Pipes {
            input: copy(rustix::stdio::stdin())?,
            output: copy(rustix::stdio::stdout())?,
            errors: copy(rustix::stdio::stderr())?,
        })
    }

    pub(super) fn ends(&self) -> [BorrowedFd<'_>; 3] {
        match self {
            Self::Pipes { input, output, errors } => {
                [input.as_fd(), output.as_fd(), errors.as_fd()]
            }
            Self::Terminal(terminal) => [terminal.as_fd(); 3],
        }
    }

    pub(super) fn terminal(&self) -> Option<&OwnedFd> {
        match self {
            Self::Pipes { .. } => None,
            Self::Terminal(terminal) => Some(terminal),
        }
    }

    /// Gives the ends to the user, who may open them again by name
    /// (`/dev/stdout`). Only pipes and the terminal: nothing of the host's is
    /// given away.
    pub(super) fn give_to(&self, uid: u32) {
        let [input, output, errors] = self.ends();
        for end in [input, output, errors] {
            let fifo_or_terminal = rustix::fs::fstat(end).is_ok_and(|stat| {
                let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
                kind == rustix::fs::FileType::Fifo || self.terminal().is_some()
            });
            if fifo_or_terminal {
                // A program that never opens its ends again does not miss it.
                let _ = fchown(end, Some(Uid::from_raw(uid)), None::<Gid>);
            }
        }
    }
}
