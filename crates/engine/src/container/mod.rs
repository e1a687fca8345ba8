//! The containers of a node. One file per verb.

mod attach;
mod create;
mod inspect;
mod kill;
mod list;
mod logs;
mod network;
mod pause;
mod prune;
mod remove;
mod rename;
mod restart;
mod start;
mod stats;
mod stop;
mod top;
mod update;
mod wait;
mod waiting;

pub use waiting::Waiting;

/// The containers of a node. Cheap to clone; all clones are one set.
#[derive(Debug, Clone)]
pub struct Containers {}
