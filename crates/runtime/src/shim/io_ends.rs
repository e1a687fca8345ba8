//! The shim's ends of a process's stdio.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    pty::{OpenptFlags, ioctl_tiocgptpeer},
};

use super::pipe;
use crate::init::ProcessStdio;

/// Bytes of input held for a process that does not read; a client's next frame is
/// taken only when less is held.
pub(super) const INPUT_BUFFER: usize = 64 * 1024;
/// Most bytes a pipe holds, unless the machine's owner or a privileged container has
/// made it larger (`/proc/sys/fs/pipe-max-size`).
const LARGEST_PIPE: usize = 1024 * 1024;
/// More bytes than a terminal holds.
const LARGEST_TERMINAL: usize = 64 * 1024;
/// Index of standard output in [`ShimIo::outputs`].
pub(super) const STDOUT: usize = 0;
/// Index of standard error.
pub(super) const STDERR: usize = 1;

/// Ends of pipes, or a terminal's master.
#[derive(Debug, Default)]
pub(super) struct ShimIo {
    pub(super) terminal: Option<OwnedFd>,
    /// The terminal's slave side, since nobody else had it open for the first time.
    slave: Option<OwnedFd>,
    /// To be read: output and errors; a terminal has only the first.
    pub(super) outputs: [Option<OwnedFd>; 2],
    input: Option<OwnedFd>,
    pending: Vec<u8>,
    /// Close the input when `pending` is written.
    close_input: bool,
}

impl ShimIo {
    /// Pipes; without `stdin` the process reads the null device.
    pub(super) fn pipes(stdin: bool) -> io::Result<(Self, ProcessStdio)> {
        let (output_read, output) = pipe()?;
        let (errors_read, errors) = pipe()?;
        let (input, input_write) = if stdin {
            let (read, write) = pipe()?;
            rustix::io::ioctl_fionbio(&write, true)?;
            (read, Some(write))
        } else {
            (std::fs::File::open("/dev/null")?.into(), None)
        };
        for end in [&output_read, &errors_read] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        let outputs = [Some(output_read), Some(errors_read)];
        let ours = Self { outputs, input: input_write, ..Self::default() };
        Ok((ours, ProcessStdio::Pipes { input, output, errors }))
    }

    /// A terminal, by its master side.
    pub(super) fn terminal(master: OwnedFd, stdin: bool) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self {
            outputs: [Some(master.try_clone()?), None],
            input: if stdin { Some(master.try_clone()?) } else { None },
            terminal: Some(master),
            ..Self::default()
        })
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// Whether another frame of input may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < INPUT_BUFFER
    }

    /// Takes input; dropped if nobody can read it any more.
    pub(super) fn take_input(&mut self, bytes: &[u8]) {
        if self.input.is_some() && !self.close_input {
            self.pending.extend_from_slice(bytes);
            self.write_input();
        }
    }

    /// No more input, once what is pending is written. A terminal's stays open:
    /// there, the end of input is a character.
    pub(super) fn end_input(&mut self) {
        if !self.is_terminal() {
            self.close_input = true;
            self.write_input();
        }
    }

    /// The input to wait for, while something is pending.
    pub(super) fn input_to_write(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().filter(|_| !self.pending.is_empty()).map(AsFd::as_fd)
    }

    /// Writes what the process takes.
    pub(super) fn write_input(&mut self) {
        let Some(input) = &self.input else {
            self.pending.clear();
            return;
        };
        while !self.pending.is_empty() {
            match rustix::io::write(input, &self.pending) {
                Ok(count) => {
                    self.pending.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads any more.
                Err(_) => {
                    self.close_input = true;
                    self.pending.clear();
                }
            }
        }
        if self.close_input {
            self.input = None;
        }
        if self.pending.capacity() > INPUT_BUFFER / 4 {
            self.pending = Vec::new();
        }
    }

    /// How many bytes there are to be read now: of a terminal, which does not tell
    /// until they are read, how many there are at most.
    pub(super) fn held(&self, which: usize) -> usize {
        match self.outputs.get(which).and_then(Option::as_ref) {
            None => 0,
            Some(_) if self.is_terminal() => LARGEST_TERMINAL,
            Some(end) => {
                let held = rustix::io::ioctl_fionread(end).unwrap_or(0);
                usize::try_from(held).unwrap_or(LARGEST_PIPE).min(LARGEST_PIPE)
            }
        }
    }

    /// Reads once into `buffer`. `Some(0)`: the end, and the descriptor is closed;
    /// `None`: nothing there now.
    pub(super) fn read(&mut self, which: usize, buffer: &mut [u8]) -> Option<usize> {
        let end = self.outputs.get(which)?.as_ref()?;
        match rustix::io::read(end, buffer) {
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(Errno::IO) if self.hold_terminal() => None,
            Ok(0) | Err(_) => {
                self.outputs[which] = None;
                Some(0)
            }
            Ok(count) => Some(count),
        }
    }

    /// Opens the terminal's slave side, as EIO says only that nobody has it open just
    /// now: somebody may open it again, to whom the end would be lost. The real end is
    /// the process's. Once more after a hangup, which takes even ours.
    fn hold_terminal(&mut self) -> bool {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let opened = self.terminal.as_ref().and_then(|end| ioctl_tiocgptpeer(end, flags).ok());
        self.slave = opened;
        self.slave.is_some()
    }

    /// Lets go of everything.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }
}
