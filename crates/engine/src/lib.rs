//! One node: containers, exec, attach, logs, events, volumes, networks.
//!
//! Start at [`Engine`]; it has four parts, and each part one file per verb:
//! [`Containers`], [`Execs`], [`Volumes`], [`Events`]. What callers say and are
//! told is in [`domain`]. The two things worth knowing first are the states of a
//! container and the pure function that turns a container into an OCI document.
//!
//! It must not know the cluster, HTTP or builds.

mod clock;
mod config;
mod container;
pub mod domain;
mod engine;
mod error;
pub mod events;
mod exec;
mod files;
mod logs;
mod node;
mod shim;
mod spec;
mod stream;
mod volume;

pub use config::{EngineConfig, OpenFiles};
pub use container::{Containers, StateWatch, Waiting, names};
pub use engine::Engine;
pub use error::{ContainerError, ExecError, OpenError, VolumeError};
pub use events::Events;
pub use exec::{ClaimedExec, Execs};
pub use logs::LogStream;
pub use node::processors;
pub use stream::{Attached, Input, InputClosed, LogEntry, Output, OutputChunk, OutputStream};
pub use volume::Volumes;
