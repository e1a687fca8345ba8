//! The store.
#![expect(clippy::todo, clippy::missing_panics_doc, reason = "signatures first")]

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_model::{Digest, Platform, Reference, Timestamp};

use crate::{
    Auth, HistoryEntry, Image, ImageConfig, ImageUse, Layer, ProgressSink, Pruned, PullOutcome,
    PushOutcome, RemoteManifest, Removed, Result, RunConfig,
};

/// Settings of a store. `Default` is Docker's behaviour.
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    /// Registries (`host:port`, or a CIDR) that may be spoken to without TLS
    /// or with a certificate nobody vouches for. Loopback always may.
    pub insecure_registries: Vec<String>,
    /// Directory with a folder per registry holding `*.crt` to trust
    /// (Docker's `/etc/docker/certs.d`).
    pub certs_dir: Option<PathBuf>,
}

/// The image store of one daemon. Cheap to clone; all methods may be called
/// from any thread. Methods that are not `async` may touch the disk: call them
/// from a blocking thread where they move whole layers (`save`, `load`,
/// `import`, `commit_layer`, `copy_layer`, `put_layer`, `remove`, `prune`).
#[derive(Clone)]
pub struct Store {}

/// Keeps content from being collected as long as it lives. Dropped = released.
#[derive(Debug)]
pub struct Lease {}

impl Lease {
    /// Also keeps the layer.
    pub fn hold_layer(&self, _diff_id: &Digest) {
        todo!()
    }
    /// Also keeps the blob.
    pub fn hold_blob(&self, _digest: &Digest) {
        todo!()
    }
}

/// A directory on the store's file system for work in progress (an upper
/// directory of a build, say). Removed when dropped, and by the next open.
#[derive(Debug)]
pub struct Scratch {}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        todo!()
    }
}

/// A named root that outlives the daemon: the layers and blobs it names stay
/// until it is unpinned (the build cache lives of these).
#[derive(Clone, Debug, PartialEq)]
pub struct Pin {
    /// Free, unique; `/` groups them (`build/<cache key>`).
    pub name: String,
    /// Layers to keep.
    pub layers: Vec<Digest>,
    /// Blobs to keep.
    pub blobs: Vec<Digest>,
    /// Whatever the owner wants to remember.
    pub data: serde_json::Value,
    /// When it was pinned.
    pub created: Timestamp,
}

/// Which images `list` shows. `Default` is `docker images`.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// Also images that only others are built upon.
    pub all: bool,
    /// `reference=`: patterns on the familiar name (`*`, `?`, `[…]`), any of them.
    pub references: Vec<String>,
    /// `dangling=`: without names or with.
    pub dangling: Option<bool>,
    /// `label=`: name, and value if one was given; all of them.
    pub labels: Vec<(String, Option<String>)>,
    /// `before=`: made before this image.
    pub before: Option<String>,
    /// `since=`: made after this image.
    pub since: Option<String>,
    /// `until=`: made before this time.
    pub until: Option<Timestamp>,
}

/// Which images `prune` removes. `Default` is `docker image prune`.
#[derive(Clone, Debug, Default)]
pub struct PruneFilter {
    /// Also images with names (`--all`).
    pub all: bool,
    /// Only those made before this time.
    pub until: Option<Timestamp>,
    /// Only those with all these labels.
    pub labels: Vec<(String, Option<String>)>,
    /// Only those without any of these labels (`label!=`).
    pub without_labels: Vec<(String, Option<String>)>,
}

/// What an imported root file system becomes.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Result of `--change`, already parsed.
    pub config: RunConfig,
    /// `--message`; Docker's default names the source.
    pub message: String,
    /// `--platform`; the host's if unset.
    pub platform: Option<Platform>,
    /// Now.
    pub created: Timestamp,
}

/// What the store holds (`docker system df`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Images.
    pub images: usize,
    /// Bytes of all layers, each counted once.
    pub layers_bytes: u64,
    /// Bytes of layers no image uses (a build cache, leases).
    pub unreferenced_bytes: u64,
}

impl Store {
    /// Opens or makes the store in `root`, and removes what a killed
    /// predecessor left half done.
    ///
    /// # Errors
    /// [`crate::Error::Locked`] when another process has it open.
    pub fn open(_root: &Path, _config: StoreConfig) -> Result<Arc<Self>> {
        todo!()
    }

    /// The image called so: `name[:tag]`, `name@digest`, id or prefix of an id.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn resolve(&self, _name_or_id: &str) -> Result<Image> {
        todo!()
    }

    /// The image with this id.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn get(&self, _id: &Digest) -> Result<Image> {
        todo!()
    }

    /// Images, newest first.
    ///
    /// # Errors
    /// When a filter names an image that is not there.
    pub fn list(&self, _filter: &ListFilter) -> Result<Vec<Image>> {
        todo!()
    }

    /// Gives an image another name; takes that name from whoever had it.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`], [`crate::Error::TagWithDigest`].
    pub fn tag(&self, _source: &str, _target: &Reference) -> Result<()> {
        todo!()
    }

    /// Docker's `rmi`: a name given is untagged; the image goes with its last
    /// name. `in_use` tells which containers use an image.
    ///
    /// # Errors
    /// Docker's conflicts: [`crate::Error::ReferenceInUse`], [`crate::Error::CannotDelete`].
    pub fn remove(
        &self,
        _name_or_id: &str,
        _force: bool,
        _prune_parents: bool,
        _in_use: &dyn Fn(&Digest) -> Vec<ImageUse>,
    ) -> Result<Vec<Removed>> {
        todo!()
    }

    /// Removes unused images and collects what nothing holds any more.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn prune(
        &self,
        _filter: &PruneFilter,
        _in_use: &dyn Fn(&Digest) -> Vec<ImageUse>,
    ) -> Result<Pruned> {
        todo!()
    }

    /// How the image came about, newest step first.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`].
    pub fn history(&self, _name_or_id: &str) -> Result<Vec<HistoryEntry>> {
        todo!()
    }

    /// Directories for overlay's `lowerdir`, topmost first; never empty (an
    /// image without layers has one empty directory).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`] when a layer is missing.
    pub fn lower_dirs(&self, image: &Image) -> Result<Vec<PathBuf>> {
        self.layer_dirs(&image.layers)
    }

    /// As [`Store::lower_dirs`], for layers given lowest first.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`] when a layer is missing.
    pub fn layer_dirs(&self, _diff_ids: &[Digest]) -> Result<Vec<PathBuf>> {
        todo!()
    }

    /// The layer, if it is here.
    pub fn layer(&self, _diff_id: &Digest) -> Option<Layer> {
        todo!()
    }

    /// A lease that holds nothing yet.
    pub fn lease(&self) -> Lease {
        todo!()
    }

    /// A lease on all layers given, for a container that runs on them. A
    /// daemon takes them again at its start, before it collects anything.
    pub fn lease_layers(&self, _diff_ids: &[Digest]) -> Lease {
        todo!()
    }

    /// A fresh directory on the store's file system.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<Scratch> {
        todo!()
    }

    /// Pulls a tag or digest, layers in parallel, for `platform` (the host's
    /// if unset). Several pulls of one reference are one pull. Dropping the
    /// future cancels it.
    ///
    /// # Errors
    /// Docker's texts ([`crate::RemoteError`]); [`crate::Error::Layer`] when a layer
    /// cannot be unpacked.
    pub async fn pull(
        &self,
        _reference: &Reference,
        _auth: &Auth,
        _platform: Option<&Platform>,
        _progress: ProgressSink,
    ) -> Result<PullOutcome> {
        todo!()
    }

    /// Pushes a tag.
    ///
    /// # Errors
    /// [`crate::Error::NotTagged`], and the registry's ([`crate::RemoteError`]).
    pub async fn push(
        &self,
        _reference: &Reference,
        _auth: &Auth,
        _progress: ProgressSink,
    ) -> Result<PushOutcome> {
        todo!()
    }

    /// Asks the registry whether it takes these credentials.
    ///
    /// # Errors
    /// [`crate::RemoteError`] when it does not.
    pub async fn login(&self, _registry: &str, _auth: &Auth) -> Result<()> {
        todo!()
    }

    /// The tags of a repository at its registry (`pull --all-tags`).
    ///
    /// # Errors
    /// [`crate::RemoteError`].
    pub async fn remote_tags(&self, _repository: &Reference, _auth: &Auth) -> Result<Vec<String>> {
        todo!()
    }

    /// What the registry has under a reference (`/distribution/…/json`, and to
    /// pin a service's image).
    ///
    /// # Errors
    /// [`crate::RemoteError`].
    pub async fn remote_manifest(
        &self,
        _reference: &Reference,
        _auth: &Auth,
    ) -> Result<RemoteManifest> {
        todo!()
    }

    /// Writes images as `docker save` does: an OCI layout with Docker's
    /// `manifest.json` and `repositories`. A name without tag means all tags
    /// of the repository.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`]; when `out` fails.
    pub fn save(&self, _names: &[String], _out: impl Write) -> Result<()> {
        todo!()
    }

    /// Reads such an archive, or an older one, or a plain OCI layout, also
    /// compressed (gzip, zstd). Says each image as [`crate::Progress::Loaded`].
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] naming the member; [`crate::Error::Layer`].
    pub fn load(&self, _input: impl Read + Send, _progress: ProgressSink) -> Result<Vec<Image>> {
        todo!()
    }

    /// Makes an image of one layer from the tar of a root file system.
    ///
    /// # Errors
    /// [`crate::Error::Layer`].
    pub fn import(
        &self,
        _input: impl Read + Send,
        _options: ImportOptions,
        _target: Option<&Reference>,
    ) -> Result<Image> {
        todo!()
    }

    /// Makes a layer of an overlay upper directory by moving it into the
    /// store; the lease holds it. The directory must be on the store's file
    /// system ([`Store::scratch`]) and in no mount.
    ///
    /// # Errors
    /// [`crate::Error::Layer`]; the directory is then still where it was.
    pub fn commit_layer(&self, _upper: &Path, _lease: &Lease) -> Result<Layer> {
        todo!()
    }

    /// Makes a layer of an overlay upper directory that stays in use
    /// (`docker commit`), by copying.
    ///
    /// # Errors
    /// [`crate::Error::Layer`].
    pub fn copy_layer(&self, _upper: &Path, _lease: &Lease) -> Result<Layer> {
        todo!()
    }

    /// Makes a layer of a tar stream (also gzip, zstd); the lease holds it.
    ///
    /// # Errors
    /// [`crate::Error::Layer`].
    pub fn put_layer(&self, _input: impl Read + Send, _lease: &Lease) -> Result<Layer> {
        todo!()
    }

    /// Records an image of layers that are here. `config.rootfs` is set from
    /// `layers` (lowest first). An image that is already here only gets the tags.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`] when a layer is missing.
    pub fn put_image(
        &self,
        _config: ImageConfig,
        _layers: &[Digest],
        _tags: &[Reference],
        _parent: Option<&Digest>,
    ) -> Result<Image> {
        todo!()
    }

    /// Stores bytes under their digest; the lease holds them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put_blob(&self, _input: impl Read, _lease: &Lease) -> Result<(Digest, u64)> {
        todo!()
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`].
    pub fn open_blob(&self, _digest: &Digest) -> Result<std::fs::File> {
        todo!()
    }

    /// Keeps content under a name; replaces a pin of the same name.
    ///
    /// # Errors
    /// When it cannot be written; [`crate::Error::NoSuchContent`].
    pub fn pin(&self, _pin: &Pin) -> Result<()> {
        todo!()
    }

    /// The pin of that name.
    pub fn pinned(&self, _name: &str) -> Option<Pin> {
        todo!()
    }

    /// All pins whose name begins so.
    pub fn pins(&self, _prefix: &str) -> Vec<Pin> {
        todo!()
    }

    /// Lets go. Nothing is collected yet: [`Store::collect_garbage`].
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn unpin(&self, _name: &str) -> Result<()> {
        todo!()
    }

    /// Removes layers and blobs that no image, pin or lease holds; the bytes
    /// they had.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn collect_garbage(&self) -> Result<u64> {
        todo!()
    }

    /// What the store holds.
    pub fn usage(&self) -> Usage {
        todo!()
    }
}
