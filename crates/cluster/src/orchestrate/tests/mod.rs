//! What passes plan, as text.

mod global;
mod lost_nodes;
mod replicated;
mod restart;
mod update;
