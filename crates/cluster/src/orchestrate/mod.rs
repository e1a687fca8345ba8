//! What each service needs now: which tasks to make, to end, to start and to
//! forget.
//!
//! Each file is one role and looks only at the stored state; they meet in
//! [`crate::pass::pass`]. Must not know: where a task will run (that is
//! [`crate::schedule`]).

mod dirty;
pub use dirty::is_up_to_date;
mod filled;
pub(crate) mod global;
mod new_task;
pub(crate) mod orphan;
mod promote;
pub(crate) mod reap;
pub(crate) mod replicated;
mod restart;
mod slot;
mod update;
mod wait;

#[cfg(test)]
mod tests;
