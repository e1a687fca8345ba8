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

    /// Whether input of this client can go on; true for who sends none.
    pub(super) fn input_has_room(&self, client: &Connection) -> bool {
        let Some(subscription) = client.subscription else { return true };
        let io = match Owner::of(subscription.owner, &self.execs) {
            Some(Owner::Container) => &self.container.io,
            Some(Owner::Exec(at)) => match self.execs.get(at) {
                Some(exec) => &exec.io,
                None => return true,
            },
            None => return true,
        };
        io.has_room()
    }

    /// Reads one output once.
    pub(super) fn pump_output(&mut self, owner: Owner, which: usize) {
        self.read_output(owner, which);
    }

    /// Reads everything that is there now, however far listeners lag: the process
    /// has ended, so it is no more than pipes hold.
    pub(super) fn drain_output(&mut self, owner: Owner) {
        for which in 0..2 {
            while self.read_output(owner, which) {}
        }
    }

    /// Whether there was something.
    fn read_output(&mut self, owner: Owner, which: usize) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() < READ_SIZE {
            buffer.resize(READ_SIZE, 0);
        }
        let count = self.io_of(owner).and_then(|io| io.read(which, &mut buffer));
        let some = match count {
            Some(count) if count > 0 => {
                self.deliver(owner, which, &buffer[..count]);
                true
            }
            _ => false,
        };
        if count == Some(0)
            && owner == Owner::Container
            && let Some(log) = &mut self.log
        {
            log.end(which);
        }
        self.buffer = buffer;
        some
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
