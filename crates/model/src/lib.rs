//! The words everybody in Shoal uses: ids, digests, image references, time,
//! units, names, signals, kinds of error and the objects of a swarm.
//!
//! Plain data with rules. Nothing here reads a file, a clock or a random
//! source; whoever needs "now" or an id passes it in.

mod digest;
mod ids;
mod kind;
pub mod names;
mod platform;
mod reference;
mod signal;
pub mod swarm;
pub mod template;
mod timestamp;
pub mod units;

pub use digest::{Digest, DigestError};
pub use ids::{
    ClusterId, ConfigId, ContainerId, ExecId, IdError, NetworkId, SecretId, ServiceId, SwarmNodeId,
    TaskId,
};
pub use kind::{Classify, Kind};
pub use names::NameError;
pub use platform::Platform;
pub use reference::{Reference, ReferenceError, registry_domain};
pub use signal::{Signal, SignalError};
pub use timestamp::{Timestamp, TimestampError};
pub use units::UnitError;
