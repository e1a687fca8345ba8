//! Images on one machine: a content-addressed store of blobs and unpacked
//! layers, names for them, and the ways in and out (pull, push, load, save,
//! import, commit).
//!
//! Invariants: content is visible only whole and verified; a layer is unpacked
//! once; nothing that a lease, a pin or an image holds is collected. This crate
//! does not know containers, builds or HTTP front doors: who uses an image is
//! asked through a closure.
#![forbid(unsafe_code)]

mod config;
mod error;
mod image;
mod layer;
mod manifest;
mod progress;
mod remote;
mod store;
mod tarball;

pub use config::{Healthcheck, History, ImageConfig, Other, RootFs, RunConfig};
pub use error::{Error, IoCause, Result};
pub use image::{HistoryEntry, Image, ImageUse, Layer, Pruned, PullOutcome, PushOutcome, Removed};
pub use layer::LayerError;
pub use progress::{LayerState, Progress, ProgressSink, no_progress};
pub use remote::{Auth, RemoteError, RemoteManifest};
pub use store::{
    ImportOptions, Lease, ListFilter, Pin, PruneFilter, Scratch, Store, StoreConfig, Usage,
};
