//! Mounts.

use std::collections::BTreeMap;

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::DriverDocument;

wire!(
    /// One of `HostConfig.Mounts` of a container, of `Mounts` of a service's tasks.
    MountDocument {
        kind: String = "Type",
        source: String = "Source",
        target: String = "Target",
        read_only: bool = "ReadOnly",
        consistency: String = "Consistency",
        bind: Option<BindDocument> = "BindOptions",
        volume: Option<VolumeDocument> = "VolumeOptions",
        tmpfs: Option<TmpfsDocument> = "TmpfsOptions",
    }
);

wire!(
    /// Options of a bind mount.
    BindDocument {
        propagation: String = "Propagation",
        non_recursive: bool = "NonRecursive",
        create_mountpoint: bool = "CreateMountpoint",
        read_only_non_recursive: bool = "ReadOnlyNonRecursive",
        read_only_force_recursive: bool = "ReadOnlyForceRecursive",
    }
);

wire!(
    /// Options of a volume mount.
    VolumeDocument {
        no_copy: bool = "NoCopy",
        labels: BTreeMap<String, String> = "Labels",
        driver: Option<DriverDocument> = "DriverConfig",
        subpath: String = "Subpath",
    }
);

wire!(
    /// Options of a mount in memory.
    TmpfsDocument {
        size: i64 = "SizeBytes",
        mode: u64 = "Mode",
        options: Vec<Vec<String>> = "Options",
    }
);

impl TmpfsDocument {
    /// The permission bits of the mount; 0: not said.
    ///
    /// # Errors
    /// `Invalid` for a number that no mode has.
    pub(crate) fn mode(&self) -> Result<u32> {
        u32::try_from(self.mode)
            .map_err(|_| ApiError::invalid(format!("invalid tmpfs mode {}", self.mode)))
    }
}
