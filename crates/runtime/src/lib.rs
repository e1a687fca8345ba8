//! OCI bundle to process: the shim, its protocol and its command line.
//!
//! Two halves live here. The library is what the engine links: how a bundle
//! looks on disk ([`bundle`]), how a shim is spoken to ([`protocol`],
//! [`client`]) and how it is started ([`launch`]). The binary `shoal-shim` is
//! one process per container: it makes the container, keeps its stdio, writes
//! its log, reaps it, and outlives the daemon.
//!
//! Start reading at [`protocol`]: it draws the states a container goes through.
//!
//! Nothing here knows images, networks or async.

pub mod bundle;
pub mod client;
pub mod command_line;
mod handshake;
mod init;
pub mod launch;
mod making;
mod oci;
mod plan;
pub mod protocol;
pub mod seccomp;
mod shim;
mod spec;
pub mod user;

pub use shoal_sys::cgroup::Limits;
