//! What a build needs from the machine it runs on.
//!
//! A worker belongs to one build: it keeps what the build made from being
//! collected until it is dropped. Every future here may be dropped before it is
//! done (the client went away); the worker then leaves nothing behind.

use std::{collections::BTreeMap, future::Future, io, os::fd::OwnedFd};

use serde::{Deserialize, Serialize};
use shoal_image::{ImageConfig, ProgressSink};
use shoal_model::{Digest, Platform, Reference, Timestamp};
use tokio::sync::mpsc;

use crate::{WorkerError, cache_key::CacheKey};

/// Runs the steps of a build.
pub trait Worker: Send + Sync + 'static {
    /// A file system that can be written.
    type Snapshot: Snapshot;

    /// Finds an image, and pulls it if it is not here or a pull was asked for.
    fn resolve(
        &self,
        image: ResolveImage,
        progress: ProgressSink,
    ) -> impl Future<Output = Result<BaseImage, WorkerError>> + Send;

    /// An image to take steps from, if it is here: nothing is pulled for that.
    fn cache_source(
        &self,
        name: &str,
    ) -> impl Future<Output = Result<Option<BaseImage>, WorkerError>> + Send;

    /// A fresh file system on top of layers, named by diff id, lowest first.
    fn snapshot(
        &self,
        layers: &[Digest],
    ) -> impl Future<Output = Result<Self::Snapshot, WorkerError>> + Send;

    /// Runs a process in a snapshot and waits for its end. Output is sent as it
    /// comes; a closed channel means that nobody listens any more.
    fn run(
        &self,
        snapshot: &Self::Snapshot,
        step: RunStep,
        events: mpsc::Sender<RunEvent>,
    ) -> impl Future<Output = Result<RunOutcome, WorkerError>> + Send;

    /// Turns what was written into a layer and returns its diff id; `None` if
    /// nothing was written.
    fn commit(
        &self,
        snapshot: Self::Snapshot,
    ) -> impl Future<Output = Result<Option<Digest>, WorkerError>> + Send;

    /// Stores an image, gives it its names and returns its id: the digest of
    /// the configuration as `serde_json` writes it without blanks.
    fn put_image(
        &self,
        image: NewImage,
    ) -> impl Future<Output = Result<Digest, WorkerError>> + Send;

    /// Gives an image that [`Self::resolve`] found more names; an image that had
    /// one of them loses it.
    fn tag_image(
        &self,
        id: &Digest,
        tags: &[Reference],
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// What an earlier build remembered under the key, if its layer still is
    /// here.
    fn cached(
        &self,
        key: &CacheKey,
    ) -> impl Future<Output = Result<Option<CachedStep>, WorkerError>> + Send;

    /// Remembers a step for later builds.
    fn remember(
        &self,
        key: &CacheKey,
        step: &CachedStep,
    ) -> impl Future<Output = Result<(), WorkerError>> + Send;

    /// The time images and steps are stamped with.
    fn now(&self) -> Timestamp;
}

/// A file system that can be written; dropping it removes it.
pub trait Snapshot: Send + Sync + 'static {
    /// The root directory, layers below included. May block. Paths are
    /// resolved below this descriptor only.
    fn root(&self) -> io::Result<OwnedFd>;
}

/// The image a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveImage {
    /// The image as the Dockerfile names it: a reference or an id.
    pub name: String,
    /// What it must have been made for.
    pub platform: Platform,
    /// Ask the registry even if the image is here.
    pub pull: bool,
}

/// An image that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// Digest of its configuration.
    pub id: Digest,
    /// Its configuration; the layers are `rootfs.diff_ids`.
    pub config: ImageConfig,
}

/// A process to run in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// `NAME=value`, in order, nothing to be added.
    pub env: Vec<String>,
    /// Absolute; made if it is missing.
    pub working_dir: String,
    /// `user[:group]`, names or numbers; empty for root.
    pub user: String,
    /// `default`, `none`, `host` or the name of a network.
    pub network: String,
    /// `name:address` lines for the hosts file.
    pub extra_hosts: Vec<String>,
    /// Files the process sees, read-only, that never become part of the image.
    pub scripts: Vec<Script>,
}

/// A file shown to a process below `/dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Absolute path below `/dev/pipes`.
    pub path: String,
    /// Its contents; it is executable.
    pub content: String,
}

/// What a running process tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// It runs, in the container of this id.
    Started {
        /// The whole id.
        container: String,
    },
    /// It wrote to its standard output.
    Stdout(Vec<u8>),
    /// It wrote to its standard error.
    Stderr(Vec<u8>),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOutcome {
    /// Its exit code; 128 + n for signal n.
    pub exit_code: i64,
}

/// An image to store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewImage {
    /// Its configuration; every layer of `rootfs.diff_ids` came from this
    /// worker.
    pub config: ImageConfig,
    /// Names it gets; an image that had one of them loses it.
    pub tags: Vec<Reference>,
    /// The image it was built on.
    pub parent: Option<Digest>,
}

/// What the cache knows about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedStep {
    /// Diff id of the layer it made, if it made one.
    pub layer: Option<Digest>,
    /// When it was made, RFC 3339: a build that finds every step in the cache
    /// gives the very same image.
    pub created: String,
    /// The instruction, for whoever looks at the cache.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Free for later versions: what is unknown is kept.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}
