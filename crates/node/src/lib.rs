//! The shell of the cluster: consensus, certificates, sessions, the agent's loop.
//!
//! This crate gives the pure core ([`shoal_cluster`]) its clock, its dice, its disk and its
//! sockets. It decides nothing about tasks: the leader's loop runs the core's pass, the
//! dispatcher sends what the core says a node should have, the agent does what the core says
//! comes next. It knows no container engine (that is behind [`shoal_cluster::Executor`]) and no
//! HTTP API.
//!
//! Start reading at [`Node`].

mod addr;
mod agent;
pub mod api;
mod clock;
pub mod config;
mod control;
pub mod convert;
mod error;
mod files;
mod manager;
mod node;
pub mod pki;
pub mod raft;
pub mod tls;
pub mod wire;

pub use api::{
    InitRequest, JoinRequest, LocalNodeState, LogLine, LogOptions, LogSelector, LogSource,
    ManagerPeer, SwarmInfo,
};
pub use config::{NodeConfig, RaftTimers, Timers};
pub use control::Control;
pub use error::NodeError;
pub use manager::LogStream;
pub use node::Node;
