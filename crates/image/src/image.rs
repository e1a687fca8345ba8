//! An image as the store's users see it.

use std::sync::Arc;

use shoal_model::{Digest, Timestamp};

use crate::{ImageConfig, Lease};

/// An image of the store, as it was when asked for.
#[derive(Clone, Debug)]
pub struct Image {
    /// Digest of the configuration document.
    pub id: Digest,
    /// The document.
    pub config: Arc<ImageConfig>,
    /// Diff ids of its layers, lowest first.
    pub layers: Vec<Digest>,
    /// `alpine:latest`, sorted, in the familiar form.
    pub repo_tags: Vec<String>,
    /// `alpine@sha256:…`, sorted, in the familiar form.
    pub repo_digests: Vec<String>,
    /// Bytes of all files of all layers.
    pub size: u64,
    /// When it was made, if its document says so.
    pub created: Option<Timestamp>,
    /// The image it was built upon here, if that was recorded.
    pub parent: Option<Digest>,
    /// When it last got a tag.
    pub last_tagged: Option<Timestamp>,
}

/// A layer of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of its regular files.
    pub size: u64,
    /// Bytes of its uncompressed tar.
    pub tar_size: u64,
}

/// One line of `docker history`, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Image id, where an image of the store ends with this step.
    pub id: Option<Digest>,
    /// When the step was made.
    pub created: Option<Timestamp>,
    /// The command.
    pub created_by: String,
    /// Tags of that image.
    pub tags: Vec<String>,
    /// Bytes of its layer.
    pub size: u64,
    /// A remark.
    pub comment: String,
}

/// What a pull did.
#[derive(Clone, Debug)]
pub struct PullOutcome {
    /// Digest of the manifest (of the index, where the reference named one).
    pub digest: Digest,
    /// The image.
    pub image: Image,
    /// Whether anything changed here.
    pub newer: bool,
    /// Keeps the image's content, removed or not, until this is dropped.
    pub lease: Arc<Lease>,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushOutcome {
    /// Digest of the manifest at the registry.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// One step of a removal, in the order Docker reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name went (familiar form).
    Untagged(String),
    /// An image or a layer went.
    Deleted(Digest),
}

/// A container that uses an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageUse {
    /// The container's id, whole or short.
    pub container: String,
    /// Whether it runs; a stopped one gives way to force.
    pub running: bool,
}

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What went.
    pub removed: Vec<Removed>,
    /// Bytes of layers and blobs that went.
    pub reclaimed: u64,
}
