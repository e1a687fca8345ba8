//! From a Dockerfile and a context to an image.
//!
//! Read in this order: [`dockerfile`] (text to instructions), [`graph`]
//! (instructions to the stages a target needs), [`stage`] (what an instruction
//! does to an image's configuration), [`cache_key`] (when a step need not run),
//! all pure; then [`Build::solve`], which walks the graph with a [`Worker`].
//!
//! This crate knows no HTTP, no cluster and no containers: whatever runs a
//! step is behind [`Worker`].

pub mod cache_key;
pub mod dockerfile;
pub mod expand;
pub mod graph;
pub mod ignore;
pub mod render;
pub mod stage;

mod build;
mod context;
mod error;
mod files;
mod glob;
mod progress;
mod request;
mod solve;
mod support;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tree;
mod users;
mod worker;

pub use build::{Build, prepare};
pub use context::{Context, ContextError, ContextLimits};
pub use error::{BuildError, WorkerError};
pub use progress::{Event, OutputStream};
pub use request::BuildRequest;
pub use worker::{
    BaseImage, CachedStep, NewImage, ResolveImage, RunEvent, RunOutcome, RunStep, Script, Snapshot,
    Worker,
};
