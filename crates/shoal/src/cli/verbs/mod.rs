//! The verbs every kind of object has: `ls`, `inspect`, `rm`, `prune`.
//!
//! Each is written once, for any [`Object`]; what differs from kind to kind is
//! data in its [`Kind`]. Nothing here knows what a kind's documents mean.

mod inspect;
mod kind;
mod list;
mod names;
mod prune;

pub(in crate::cli) use inspect::{Inspect, inspect, pretty, show};
pub(in crate::cli) use kind::{
    Container, Image, KINDS, Network, Node, Object, Service, Task, Volume,
};
pub(in crate::cli) use list::{ListFlags, row, rows};
pub(in crate::cli) use names::{Names, each};
pub(in crate::cli) use prune::{PruneFlags, confirm, pruned, reclaimed, removed};
