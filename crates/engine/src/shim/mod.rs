//! Speaking with shims from the reactor: one socket per conversation.
//!
//! Framing and messages are [`shoal_runtime::protocol`]'s; this is its asynchronous
//! half. It must not know what a container is for.

mod connection;
mod pump;

pub(crate) use connection::{ANSWER_DEADLINE, Connection, ShimError, in_time, is_late};
pub(crate) use pump::{Ends, Leaving, pump};
