//! What `/build` needs of whoever runs builds.

use std::future::Future;
use std::pin::Pin;

use shoal_build::{Build, BuildError, Event, WorkerError};
use shoal_image::Auth;
use shoal_model::{Digest, Timestamp};
use tokio::sync::mpsc;

/// Credentials for the registries a build pulls from, by registry.
#[derive(Debug, Clone, Default)]
pub struct BuildAuth(pub Vec<(String, Auth)>);

/// Runs builds. Dropping the future cancels the build.
pub trait Builder: Send + Sync + 'static {
    /// Solves one build and tells what happens meanwhile.
    fn solve(
        &self,
        build: Build,
        auth: BuildAuth,
        events: mpsc::Sender<Event>,
    ) -> Pin<Box<dyn Future<Output = Result<Digest, BuildError>> + Send>>;

    /// All steps of the build cache. Blocks.
    ///
    /// # Errors
    /// When the images that share layers with it cannot be listed.
    fn cache(&self) -> Result<Vec<CacheRecord>, WorkerError>;

    /// Forgets the steps of the build cache that nobody uses and the filter
    /// takes. Blocks.
    ///
    /// # Errors
    /// When they cannot be removed; some are gone then.
    fn prune(&self, filter: &CacheFilter) -> Result<CachePruned, WorkerError>;
}

/// A step of the build cache, as `system df` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecord {
    /// The key of the step.
    pub id: String,
    /// The instruction; empty if the step was remembered without.
    pub description: String,
    /// A build that runs has used it.
    pub in_use: bool,
    /// It belongs to an image that is here.
    pub shared: bool,
    /// Bytes of the layer it made; 0 if it made none, or the same as an older
    /// record.
    pub size: u64,
    /// When the step ran.
    pub created: Timestamp,
    /// When a build found it, if one did.
    pub last_used: Option<Timestamp>,
    /// How many builds found it.
    pub uses: u64,
}

/// What a prune of the build cache takes. `Default` is `docker builder prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheFilter {
    /// Also steps of images that are here.
    pub all: bool,
    /// Only those not used since.
    pub unused_since: Option<Timestamp>,
    /// Only those whose id has this part.
    pub id: Option<String>,
    /// Only those of exactly this instruction.
    pub description: Option<String>,
    /// Only those that are, or are not, used by a build.
    pub in_use: Option<bool>,
    /// Only those that do, or do not, belong to an image.
    pub shared: Option<bool>,
    /// None at all: something was asked for that no step has.
    pub none: bool,
    /// Bytes that may stay; those that were not used for longest go first.
    pub keep_bytes: u64,
}

impl CacheFilter {
    /// Whether the prune takes a record, as far as its own facts go.
    pub fn takes(&self, record: &CacheRecord) -> bool {
        let used = record.last_used.unwrap_or(record.created);
        !self.none
            // Nothing is taken from a build that runs.
            && !record.in_use
            && (self.all || !record.shared)
            && self.unused_since.is_none_or(|since| used < since)
            && self.id.as_ref().is_none_or(|part| record.id.contains(part))
            && self.description.as_ref().is_none_or(|text| *text == record.description)
            && self.in_use.is_none_or(|wanted| wanted == record.in_use)
            && self.shared.is_none_or(|wanted| wanted == record.shared)
    }
}

/// What a prune of the build cache took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CachePruned {
    /// The ids of the records.
    pub ids: Vec<String>,
    /// Bytes of disk space that came free.
    pub reclaimed: u64,
}
