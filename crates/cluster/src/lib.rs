//! The pure core of the cluster.
//!
//! ```text
//! control API ── commands::decide ──┐
//! leader loop ── pass::pass ────────┼── changes ── consensus ── Store::apply ── events
//! sessions ───── dispatch ──────────┘                                │
//! worker ─────── agent (steps, Executor) ◀── assignment messages ────┘
//! ```
//!
//! Everything here is a function of its arguments: "now" and chance come in
//! as values, changes and messages go out as values. That is what lets whole
//! clusters be simulated from a seed. Must not know: tokio, clocks, random
//! sources, files, sockets, HTTP, gRPC, the engine.
//!
//! Start reading at [`pass::pass`] and [`store::Change`].

pub mod agent;
pub mod ca;
pub mod commands;
mod constraint;
pub mod dispatch;
mod orchestrate;
pub mod pass;
pub mod plan;
mod rng;
pub mod schedule;
pub mod store;
#[cfg(test)]
mod test_cluster;
#[cfg(test)]
mod test_scene;

pub use agent::Executor;
pub use commands::{Command, CommandError, Decision, Outcome, decide};
pub use orchestrate::is_up_to_date;
pub use pass::pass;
pub use plan::Plan;
pub use rng::Rng;
pub use store::{ApplyError, Batch, Change, Event, Object, Store};
