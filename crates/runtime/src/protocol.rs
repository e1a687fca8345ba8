//! How a shim is spoken to: frames, and the messages inside them.
//!
//! # States
//!
//! ```text
//!        Create           Start            process ends
//!  Idle ───────▶ Created ───────▶ Running ─────────────▶ Exited ─▶ (shim gone)
//!    │              │          Pause │ ▲ Resume             ▲
//!    │ fails        │ fails,         ▼ │                    │
//!    │              │ Delete        Paused ──── killed ─────┤
//!    └──────────────┴───────────────────────────────────────┘
//! ```
//!
//! `Idle` lasts from launch to `Create`, which [`crate::launch::launch`] sends at
//! once. A failed `Create` or `Start` leaves nothing of the container: the shim
//! writes `exit.json` with 127 or 126 (or 128) and the reason, answers, cleans up
//! and leaves. A container that stays `Created` without any connection for
//! [`ABANDONED_AFTER`] ends the same way. Only the shim changes the state.
//!
//! # Frames
//!
//! Every byte on a connection belongs to a frame: one byte [`FrameKind`], three
//! zero bytes, the payload's length as a big-endian `u32`, the payload. For
//! standard output and error this is Docker's own stream header, so a daemon can
//! pass such frames to its client as they are.
//!
//! | kind        | from   | payload |
//! |-------------|--------|---------|
//! | `Stdin`     | client | bytes, ≤ [`MAX_STREAM_PAYLOAD`] |
//! | `Stdout`    | shim   | bytes, ≤ [`MAX_STREAM_PAYLOAD`]; a terminal's output, too |
//! | `Stderr`    | shim   | bytes, ≤ [`MAX_STREAM_PAYLOAD`] |
//! | `StdinClose`| client | none: the client will send no more input (half-close) |
//! | `Request`   | client | JSON [`Request`], ≤ [`MAX_MESSAGE_PAYLOAD`] |
//! | `Response`  | shim   | JSON [`Response`], ≤ [`MAX_MESSAGE_PAYLOAD`] |
//! | `End`       | shim   | JSON [`ExitRecord`]: last frame of a stream |
//!
//! A frame of an unknown kind, with a non-zero reserved byte, too long, or with
//! broken JSON ends the connection, and nothing but the connection.
//!
//! # Connections
//!
//! The engine's first connection comes from `launch`; any number more by
//! connecting to `shim.sock`. All are equal. Requests on one connection are taken
//! in order; `Wait` is answered when the container has ended, everything else
//! before the next request is looked at, so requests may be sent ahead (`Create`
//! and `Start` in one write).
//!
//! A connection becomes a *stream* by `Attach` or `Exec`, once:
//!
//! ```text
//!  client: Request Attach{stdin, stdout, stderr}
//!  shim:   Response Attached        ── output from here on, nothing earlier
//!  client: Stdin* StdinClose        ── at any time after the request
//!  shim:   (Stdout | Stderr)* End   ── then closes
//! ```
//!
//! Attach may come before `Start`; the order `Create`, `Attach`, `Start` loses no
//! byte. A client that goes away detaches; the container goes on. A client that
//! does not read stops the stream at [`STREAM_BUFFER`] bytes and, with it, the
//! container's writes: nothing is dropped. Input is taken from the client only as
//! fast as the container reads it. A client that goes on asking without reading the
//! answers is hung up on.
//!
//! An exec's connection is the exec: its `End` carries the exec's exit code.
//! When the client goes away the process goes on without listeners.
//!
//! # The end
//!
//! Process ends → what it has written is read (not what others who hold its output
//! write later), log written → `exit.json` renamed into
//! place → `End` to every stream, `Exited` to every `Wait` → cgroup removed →
//! `shim.sock` removed → every connection closed by the shim leaving. So the end
//! of file on the engine's connection says: nothing of this container is left.
//!
//! Who finds `shim.sock` missing or refusing reads `exit.json`; if that is
//! missing, too, the shim itself was killed (its container dies with it) and the
//! engine removes the cgroup.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_model::{Classify, Kind, Timestamp};
use shoal_sys::cgroup::Limits;

use crate::bundle::ExitRecord;

mod frame;

pub use frame::{
    Decoder, Frame, FrameError, FrameKind, HEADER_LENGTH, decode_header, encode, encode_end,
    encode_header, encode_request, encode_response,
};

/// Longest payload of a stream frame: what one read of a full pipe gives.
pub const MAX_STREAM_PAYLOAD: usize = 64 * 1024;
/// Longest payload of a message. An exec's arguments and environment must fit;
/// the kernel's own limit for them is 2 MiB with the usual stack limit.
pub const MAX_MESSAGE_PAYLOAD: usize = 4 * 1024 * 1024;
/// Bytes a client may lag behind before its container's writes wait for it.
pub const STREAM_BUFFER: usize = 128 * 1024;
/// How long a created container waits for a `Start` without any connection
/// before it is taken for forgotten: long enough for a daemon's restart.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(120);

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; the answer carries it back.
    pub id: u64,
    /// What to do.
    pub operation: Operation,
}

/// The closed set of things a shim can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make the container up to just before its program runs. Answered by
    /// [`Reply::Created`]. A network namespace may come along as a descriptor.
    Create,
    /// Run its program. [`Reply::Started`].
    Start,
    /// Where it stands. [`Reply::State`].
    State,
    /// Send a signal. [`Reply::Done`]; a process that is gone is `NotFound`.
    Kill {
        /// The signal's number.
        signal: i32,
        /// To every process of the container, not only the first.
        #[serde(default)]
        all: bool,
        /// To this exec's process instead.
        #[serde(default)]
        exec: Option<String>,
    },
    /// Set a terminal's size. [`Reply::Done`].
    Resize {
        /// The terminal of this exec instead of the container's.
        #[serde(default)]
        exec: Option<String>,
        /// Rows and columns.
        size: WindowSize,
    },
    /// Turn this connection into a stream of the container's stdio.
    /// [`Reply::Attached`].
    Attach {
        /// Send input.
        #[serde(default)]
        stdin: bool,
        /// Get standard output (with a terminal: everything).
        #[serde(default)]
        stdout: bool,
        /// Get standard error.
        #[serde(default)]
        stderr: bool,
    },
    /// Run one more process, confined as the first; this connection becomes its
    /// stream. [`Reply::ExecStarted`], or `Timeout` when making it took eight seconds.
    Exec(Box<ExecRequest>),
    /// Answered with [`Reply::Exited`] when the container has ended.
    Wait,
    /// Freeze every process. [`Reply::Done`].
    Pause,
    /// Thaw. [`Reply::Done`].
    Resume,
    /// Change limits; what is `None` stays. [`Reply::Done`].
    Update(Box<Limits>),
    /// Kill whatever is there and leave. [`Reply::Done`], before the end.
    Delete,
}

/// One more process in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Chosen by the engine; unique among the container's running execs.
    pub exec_id: String,
    /// Program and arguments; the program is looked up in `env`'s `PATH`.
    pub args: Vec<String>,
    /// The whole environment, `NAME=value`.
    #[serde(default)]
    pub env: Vec<String>,
    /// Working directory inside the container; `None`: the container's.
    #[serde(default)]
    pub cwd: Option<String>,
    /// `user[:group]`; `None`: the container's user.
    #[serde(default)]
    pub user_text: Option<String>,
    /// Give it a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// The terminal's first size.
    #[serde(default)]
    pub size: Option<WindowSize>,
    /// Keep standard input open for `Stdin` frames; otherwise `/dev/null`.
    #[serde(default)]
    pub stdin: bool,
    /// Send standard output and error; otherwise they are read and dropped.
    #[serde(default)]
    pub output: bool,
    /// Docker's `exec --privileged`: all capabilities and no seccomp filter, except
    /// that of a container which has all capabilities itself. Without this the exec
    /// is confined as the container is, privileged or not.
    #[serde(default)]
    pub privileged: bool,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub columns: u16,
}

/// What the shim answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The request's.
    pub id: u64,
    /// How it went.
    pub outcome: Outcome,
}

/// How a request went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As asked.
    Ok(Reply),
    /// Not.
    Failed(Failure),
}

/// The good answers; which one belongs to which request is said there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Nothing to tell.
    Done,
    /// The container is made; `pid` is its first process, seen from the shim.
    Created {
        /// The process.
        pid: i32,
    },
    /// Its program runs.
    Started {
        /// When.
        started_at: Timestamp,
    },
    /// Where it stands.
    State(StateReport),
    /// This connection is a stream now.
    Attached,
    /// The exec runs and this connection is its stream.
    ExecStarted {
        /// Its process, seen from the shim.
        pid: i32,
    },
    /// The container has ended.
    Exited(ExitRecord),
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReport {
    /// The state.
    pub status: Status,
    /// Its first process, seen from the shim; `None` before and after.
    pub pid: Option<i32>,
    /// When its program was started.
    pub started_at: Option<Timestamp>,
    /// How it ended, once it has.
    pub exit: Option<ExitRecord>,
    /// Execs that run.
    pub execs: Vec<ExecState>,
}

/// One running exec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecState {
    /// As given in [`ExecRequest::exec_id`].
    pub exec_id: String,
    /// Its process, seen from the shim.
    pub pid: i32,
}

/// A container's state, as drawn at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The shim is there, the container not yet.
    Idle,
    /// Made; the program has not been started.
    Created,
    /// The program runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended.
    Exited,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What sort.
    pub reason: Reason,
    /// For people; names the object.
    pub message: String,
}

/// The sorts of failure a client treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The program is not there (Docker's exit code 127).
    CommandNotFound,
    /// The program is there and cannot be run (126).
    CommandNotExecutable,
    /// The configuration asks for something impossible.
    Invalid,
    /// Understood, and not built.
    NotImplemented,
    /// Not in this state.
    Conflict,
    /// The named exec or process is not there.
    NotFound,
    /// It took too long.
    Timeout,
    /// The machine refused.
    Failed,
}

impl Failure {
    /// A failure of this sort.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The exit code Docker shows for a container or exec that failed this way.
    pub fn exit_code(&self) -> i32 {
        match self.reason {
            Reason::CommandNotFound => 127,
            Reason::CommandNotExecutable => 126,
            _ => 128,
        }
    }

    /// The exit code Docker shows for an exec that failed this way.
    pub fn exec_exit_code(&self) -> i32 {
        match self.reason {
            Reason::CommandNotFound => 127,
            _ => 126,
        }
    }

    /// What a Docker client is told when a start fails this way.
    pub fn create_text(&self) -> String {
        format!(
            "failed to create task for container: failed to create shim task: \
             OCI runtime create failed: unable to start container process: \
             error during container init: {}: unknown",
            self.message
        )
    }

    /// What a Docker client is told when an exec fails this way.
    pub fn exec_text(&self) -> String {
        format!(
            "OCI runtime exec failed: exec failed: unable to start container process: {}: unknown",
            self.message
        )
    }
}

impl Classify for Failure {
    fn kind(&self) -> Kind {
        match self.reason {
            Reason::CommandNotFound | Reason::CommandNotExecutable | Reason::Invalid => {
                Kind::Invalid
            }
            Reason::NotImplemented => Kind::NotImplemented,
            Reason::Conflict => Kind::Conflict,
            Reason::NotFound => Kind::NotFound,
            Reason::Timeout => Kind::Unavailable,
            Reason::Failed => Kind::Internal,
        }
    }
}
