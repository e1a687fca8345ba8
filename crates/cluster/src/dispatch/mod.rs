//! The leader's talk with the workers: who is alive, who is to run what, and
//! what they say about it.
//!
//! Sessions live in the leader's memory only; what must outlive it (a node is
//! down, a task runs) goes into the store as changes. Must not know: gRPC,
//! timers, sockets. The caller asks again at the deadlines it is given.

mod assignments;
mod error;
mod feed;
mod sessions;
mod status;

pub use assignments::{Assignable, AssignableId, AssignmentChange, AssignmentKind, Assignments};
pub use error::DispatchError;
pub use feed::{MAX_CHANGES_PER_MESSAGE, NodeFeed};
pub use sessions::{
    DOWN_AFTER_MISSED, HEARTBEAT_EPSILON, REGISTRATION_WINDOW, REGISTRATIONS_PER_WINDOW, Session,
    SessionId, Sessions, UNKNOWN_AFTER_MISSED,
};
pub use status::{TaskReport, report_tasks};

#[cfg(test)]
mod tests;
