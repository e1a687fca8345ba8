//! The worker's side: what to do next for a task, and with what.
//!
//! [`next`] says what a task needs; the node's loop does it with the
//! [`Executor`] and tells [`finish`] how it went, which gives the status to
//! keep and report; then `next` is asked again. After a crash the same two
//! questions carry on from the kept status. Must not know: sessions, async
//! runtimes, engines, disks.

#[cfg(feature = "contract")]
pub mod contract;
mod executor;
#[cfg(feature = "contract")]
pub mod fake;
mod held;
mod step;

pub use executor::{
    Executor, ExecutorError, Exit, LogLine, LogOptions, LogSink, LogStream, LogTail, Observation,
    SinkClosed, Work,
};
pub use held::{Applied, Held, OutOfStep};
pub use step::{Action, Done, finish, next};
