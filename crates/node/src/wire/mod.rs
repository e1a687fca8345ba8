//! The messages and services of SwarmKit's worker protocol (`docker.swarmkit.v1`).
//!
//! Written by hand from the protocol's field numbers; only what a worker and a manager say to
//! each other is here. These types are the wire's: they know nothing of the domain, and only
//! [`crate::convert`] turns one into the other.
#![allow(
    missing_docs,
    reason = "field names and numbers are SwarmKit's; its documentation applies"
)]

/// Enumerations of the protocol. A message has the number, which may be one this side does not
/// know.
macro_rules! enumerations {
    ($($name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal),+ $(,)? })+) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
        #[repr(i32)]
        pub enum $name { $($(#[$doc])* $variant = $number),+ }
    )+};
}

mod ca;
mod container;
mod dispatcher;
mod log;
mod network;
mod node;
mod service;
mod task;
mod well_known;

pub use ca::*;
pub use container::*;
pub use dispatcher::*;
pub use log::*;
pub use network::*;
pub use node::*;
pub use service::*;
pub use task::*;
pub use well_known::*;
