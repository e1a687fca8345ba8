//! File systems a service's containers mount.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Driver;

/// A file system mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mount {
    /// What sort it is.
    pub kind: MountKind,
    /// A path of the node, or a volume's name; empty: an anonymous volume.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// `default`, `consistent`, `cached`, `delegated`; without effect here.
    pub consistency: String,
    /// For [`MountKind::Bind`].
    pub bind: Option<BindOptions>,
    /// For [`MountKind::Volume`].
    pub volume: Option<VolumeOptions>,
    /// For [`MountKind::Tmpfs`].
    pub tmpfs: Option<TmpfsOptions>,
}

/// What sort a mount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MountKind {
    /// A path of the node.
    #[default]
    Bind,
    /// A volume.
    Volume,
    /// Memory.
    Tmpfs,
    /// A named pipe (Windows).
    NamedPipe,
    /// A cluster volume.
    Cluster,
}

/// Options of a bind mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BindOptions {
    /// `rprivate`, `private`, `rshared`, `shared`, `rslave`, `slave` or empty.
    pub propagation: String,
    /// Leave out the mounts below the source.
    pub non_recursive: bool,
    /// Make the source if it is missing.
    pub create_mountpoint: bool,
    /// Only the top mount becomes read-only.
    pub read_only_non_recursive: bool,
    /// Fail if the mounts below cannot be made read-only.
    pub read_only_force_recursive: bool,
}

/// Options of a volume mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VolumeOptions {
    /// Do not fill a new volume from the image.
    pub no_copy: bool,
    /// Labels of a volume made for this.
    pub labels: BTreeMap<String, String>,
    /// Driver of a volume made for this.
    pub driver: Option<Driver>,
    /// Mount only this directory of the volume.
    pub subpath: String,
}

/// Options of a mount in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TmpfsOptions {
    /// Size in bytes; 0: no limit.
    pub size_bytes: i64,
    /// Permission bits; 0: the default.
    pub mode: u32,
    /// Further mount options.
    pub options: String,
}
