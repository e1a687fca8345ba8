//! One client: frames in, frames out, and what it listens to.

use std::{
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
};

use rustix::event::PollFlags;

use super::Owner;
use crate::{
    bundle::ExitRecord,
    protocol::{
        Decoder, Failure, FrameKind, MAX_MESSAGE_PAYLOAD, Outcome, Reply, Response, STREAM_BUFFER,
        encode, encode_end, encode_response,
    },
};

/// A client's place in the shim's list.
pub(super) type ClientId = usize;

/// Bytes asked for per read.
const READ_SIZE: usize = 64 * 1024;

/// Most bytes held for a client that asks on and on and reads no answer. Output
/// stays far below, by [`Connection::lags`].
const MOST_UNREAD: usize = MAX_MESSAGE_PAYLOAD;

/// A connection with its client.
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) decoder: Decoder,
    /// Descriptors that came along, not claimed yet.
    pub(super) fds: Vec<OwnedFd>,
    out: Vec<u8>,
    /// How much of `out` is written.
    written: usize,
    /// What it listens to, once it is a stream.
    pub(super) subscription: Option<Subscription>,
    /// The client sends nothing any more.
    pub(super) read_ended: bool,
    /// Close when everything is written.
    closing: bool,
    /// The client reads nothing any more; what it sent still counts.
    deaf: bool,
    /// It does not speak the protocol.
    broken: bool,
}

/// A stream's wishes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) owner: StreamOwner,
    pub(super) stdin: bool,
    pub(super) outputs: [bool; 2],
}

/// Whose stdio a stream carries. Execs change their place, so by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamOwner {
    Container,
    /// The exec with this serial number.
    Exec(u64),
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            fds: Vec::new(),
            out: Vec::new(),
            written: 0,
            subscription: None,
            read_ended: false,
            closing: false,
            deaf: false,
            broken: false,
        })
    }

    /// What to wait for; `None`: for nothing, so that a client that is held back or
    /// gone does not wake the loop for ever.
    pub(super) fn interest(&self, input_has_room: bool) -> Option<PollFlags> {
        let mut flags = PollFlags::empty();
        if !self.read_ended && !self.closing && input_has_room {
            flags |= PollFlags::IN;
        }
        if self.pending() > 0 {
            flags |= PollFlags::OUT;
        }
        // A client that half-closed is watched for closing altogether, which is
        // told without being asked for.
        let watched = self.read_ended && !self.deaf;
        (!flags.is_empty() || watched).then_some(flags)
    }

    /// Reads what is there into the decoder. `Ok(false)`: nothing more will come.
    pub(super) fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        if buffer.len() < READ_SIZE {
            buffer.resize(READ_SIZE, 0);
        }
        match shoal_sys::fdpass::receive(&self.stream, buffer, &mut self.fds) {
            Ok(0) => {
                self.read_ended = true;
                Ok(false)
            }
            Ok(count) => {
                self.decoder.push(&buffer[..count]);
                // No message carries more than one, and hoarding helps nobody.
                self.fds.truncate(1);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(super) fn respond(&mut self, id: u64, outcome: Result<Reply, Failure>) {
        let outcome = match outcome {
            Ok(reply) => Outcome::Ok(reply),
            Err(failure) => Outcome::Failed(failure),
        };
        if encode_response(&Response { id, outcome }, &mut self.out).is_err() {
            self.broken = true;
        }
        self.flush();
        if self.pending() > MOST_UNREAD {
            self.broken = true;
        }
    }

    /// Output for a stream.
    pub(super) fn stream(&mut self, kind: FrameKind, bytes: &[u8]) {
        encode(kind, bytes, &mut self.out);
        self.flush();
    }

    /// The last frame of a stream, and the end of its connection.
    pub(super) fn end_stream(&mut self, record: &ExitRecord) {
        if encode_end(record, &mut self.out).is_err() {
            self.broken = true;
        }
        self.closing = true;
        self.flush();
    }

    /// Writes what the client takes.
    pub(super) fn flush(&mut self) {
        while self.pending() > 0 && !self.deaf {
            match (&self.stream).write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.deaf = true,
            }
        }
        if self.pending() == 0 || self.deaf {
            self.out = Vec::new();
            self.written = 0;
        } else if self.written > STREAM_BUFFER {
            self.out.drain(..self.written);
            self.written = 0;
        }
    }

    /// Bytes the client has not taken.
    fn pending(&self) -> usize {
        self.out.len() - self.written
    }

    pub(super) fn lags(&self) -> bool {
        self.pending() >= STREAM_BUFFER
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.broken || self.pending() == 0
    }

    /// Ends a connection whose client does not speak the protocol.
    pub(super) fn break_off(&mut self) {
        self.broken = true;
    }

    /// The client has closed both directions.
    pub(super) fn hung_up(&mut self) {
        self.deaf = true;
        self.flush();
    }

    /// Whether it can be forgotten.
    pub(super) fn is_over(&self) -> bool {
        let heard_out = self.read_ended && self.decoder.pending() == 0;
        let nobody_there = heard_out && (self.deaf || self.subscription.is_none());
        self.broken || (self.pending() == 0 && (self.closing || nobody_there))
    }

    /// Whether it listens to this output of this owner.
    pub(super) fn hears(&self, owner: StreamOwner, which: usize) -> bool {
        self.subscription
            .is_some_and(|s| s.owner == owner && s.outputs.get(which).copied().unwrap_or(false))
    }
}

impl Owner {
    pub(super) fn of(owner: StreamOwner, execs: &[super::Exec]) -> Option<Self> {
        match owner {
            StreamOwner::Container => Some(Self::Container),
            StreamOwner::Exec(serial) => {
                execs.iter().position(|exec| exec.serial == serial).map(Self::Exec)
            }
        }
    }
}
