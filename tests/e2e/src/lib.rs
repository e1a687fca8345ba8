//! What the end-to-end tests stand on: local clusters, real clients, and a
//! look into the daemons' logs at the end.
//!
//! Every test makes its own cluster with `shoal cluster create` and drives it
//! through the real docker CLI. A daemon that wrote a WARN or ERROR nobody
//! expected fails the test that ran it.

mod cluster;
mod images;
mod logs;
mod program;
mod redis;
mod wait;

pub use cluster::{Cluster, Node};
pub use images::Images;
pub use program::{Output, Program, shoal_binary};
pub use redis::Redis;
pub use wait::until;
