//! Moving bytes: output to the log and to who listens, input to the process.

use super::{
    Owner, Shim,
    connection::{Connection, StreamOwner},
    io_ends::{STDOUT, ShimIo},
};
use crate::protocol::FrameKind;

/// Bytes per read: what a pipe holds.
const READ_SIZE: usize = 64 * 1024;

impl Shim {
    pub(super) fn io_of(&mut self, owner: Owner) -> Option<&mut ShimIo> {
        match owner {
            Owner::Container => Some(&mut self.container.io),
            Owner::Exec(at) => self.execs.get_mut(at).map(|exec| &mut exec.io),
        }
    }

    fn stream_owner(&self, owner: Owner) -> Option<StreamOwner> {
        match owner {
            Owner::Container => Some(StreamOwner::Container),
            Owner::Exec(at) => self.execs.get(at).map(|exec| StreamOwner::Exec(exec.serial)),
        }
    }

    /// Whether somebody who listens has too much unread: then output waits.
    pub(super) fn listeners_lag(&self, owner: Owner) -> bool {
        let Some(owner) = self.stream_owner(owner) else { return false };
        let listens = |client: &&Connection| client.subscription.is_some_and(|s| s.owner == owner);
        self.clients.iter().flatten().filter(listens).any(Connection::lags)
    }

    /// Whether input of this client can go on; true for who sends none. Not while its
    /// exec is being made.
    pub(super) fn input_has_room(&self, client: &Connection) -> bool {
        let Some(subscription) = client.subscription else { return true };
        let io = match Owner::of(subscription.owner, &self.execs) {
            Some(Owner::Container) => &self.container.io,
            Some(Owner::Exec(at)) => match self.execs.get(at) {
                Some(exec) if exec.making().is_some() => return false,
                Some(exec) => &exec.io,
                None => return true,
            },
            None => return true,
        };
        io.has_room()
    }

    /// Reads one output once.
    pub(super) fn pump_output(&mut self, owner: Owner, which: usize) {
        self.read_output(owner, which, READ_SIZE);
    }

    /// Reads everything that is there now, however far listeners lag: the process
    /// has ended, and what it wrote is in the pipes. Not more than that: somebody it
    /// has left behind, or given its output to, may write for ever.
    pub(super) fn drain_output(&mut self, owner: Owner) {
        for which in 0..2 {
            let mut left = self.io_of(owner).map_or(0, |io| io.held(which));
            while left > 0 {
                match self.read_output(owner, which, left) {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
        }
    }

    /// Reads once, at most `most` bytes; how many there were.
    fn read_output(&mut self, owner: Owner, which: usize, most: usize) -> usize {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() < READ_SIZE {
            buffer.resize(READ_SIZE, 0);
        }
        let most = most.min(READ_SIZE);
        let count = self.io_of(owner).and_then(|io| io.read(which, &mut buffer[..most]));
        if let Some(count) = count.filter(|&count| count > 0) {
            self.deliver(owner, which, &buffer[..count]);
        }
        if count == Some(0)
            && owner == Owner::Container
            && let Some(log) = &mut self.log
        {
            log.end(which);
        }
        self.buffer = buffer;
        count.unwrap_or(0)
    }

    fn deliver(&mut self, owner: Owner, which: usize, bytes: &[u8]) {
        if owner == Owner::Container
            && let Some(log) = &mut self.log
        {
            log.write(which, bytes);
        }
        let Some(owner) = self.stream_owner(owner) else { return };
        let kind = if which == STDOUT { FrameKind::Stdout } else { FrameKind::Stderr };
        for client in self.clients.iter_mut().flatten() {
            if client.hears(owner, which) {
                client.stream(kind, bytes);
            }
        }
    }

    /// Writes pending input, then takes what clients have sent meanwhile.
    pub(super) fn pump_input(&mut self, owner: Owner) {
        let Some(io) = self.io_of(owner) else { return };
        io.write_input();
        if io.has_room() {
            let waiting: Vec<usize> = (0..self.clients.len()).collect();
            for id in waiting {
                self.process_frames(id);
            }
        }
    }
}
