//! What a long operation tells while it runs: domain events, not Docker's JSON.
//!
//! A sink must not block: it is called from the threads that move the bytes.

use std::{fmt, sync::Arc};

use shoal_model::Digest;

/// Where events go. Called from any thread.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// A sink for callers that do not care.
pub fn no_progress() -> ProgressSink {
    Arc::new(|_| {})
}

/// One event of a pull, push or load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A pull begins: `Pulling from library/alpine` with the tag as id.
    PullingFrom {
        /// Repository path on its registry.
        path: String,
        /// Tag or digest.
        tag: String,
    },
    /// A push begins: `The push refers to repository [localhost:5000/x]`.
    PushRefersTo(String),
    /// One layer went on.
    Layer {
        /// Short id, 12 characters.
        id: String,
        /// Where it is now.
        state: LayerState,
        /// Bytes done in this state; zero where nothing is counted.
        current: u64,
        /// Bytes in all; zero if unknown.
        total: u64,
    },
    /// The manifest's digest is known: `Digest: sha256:…`.
    Digest(Digest),
    /// A closing remark: `Status: Image is up to date for alpine:latest`.
    Status(String),
    /// A tag now exists at the registry:
    /// `latest: digest: sha256:… size: 527`.
    TagPushed {
        /// The tag.
        tag: String,
        /// Digest of the manifest.
        digest: Digest,
        /// Bytes of the manifest.
        size: u64,
    },
    /// An image of an archive is here: `Loaded image: x:latest`.
    Loaded(String),
}

/// The steps of a layer; displayed with Docker's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerState {
    /// Known, nothing done yet (pull).
    PullingFsLayer,
    /// Others go first.
    Waiting,
    /// Bytes arrive.
    Downloading,
    /// All bytes are here; their sum is being checked.
    VerifyingChecksum,
    /// Verified.
    DownloadComplete,
    /// Being unpacked.
    Extracting,
    /// Here and usable.
    PullComplete,
    /// Was here before (pull).
    AlreadyExists,
    /// Known, nothing done yet (push).
    Preparing,
    /// Bytes leave.
    Pushing,
    /// The registry has it.
    Pushed,
    /// The registry had it before.
    LayerAlreadyExists,
    /// The registry took it over from another repository of its own.
    MountedFrom(String),
    /// Being read from an archive.
    LoadingLayer,
}

impl fmt::Display for LayerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PullingFsLayer => "Pulling fs layer",
            Self::Waiting => "Waiting",
            Self::Downloading => "Downloading",
            Self::VerifyingChecksum => "Verifying Checksum",
            Self::DownloadComplete => "Download complete",
            Self::Extracting => "Extracting",
            Self::PullComplete => "Pull complete",
            Self::AlreadyExists => "Already exists",
            Self::Preparing => "Preparing",
            Self::Pushing => "Pushing",
            Self::Pushed => "Pushed",
            Self::LayerAlreadyExists => "Layer already exists",
            Self::MountedFrom(repository) => return write!(f, "Mounted from {repository}"),
            Self::LoadingLayer => "Loading layer",
        })
    }
}
