//! Mounts of a container, both ways.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shoal_engine::domain::{Mount, MountError, MountKind, MountPoint, Propagation, TmpfsOptions};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;

wire!(
    /// One of `HostConfig.Mounts`.
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
    }
);

wire!(
    /// Options of a volume mount.
    VolumeDocument {
        no_copy: bool = "NoCopy",
        labels: BTreeMap<String, String> = "Labels",
        driver: DriverDocument = "DriverConfig",
    }
);

wire!(
    /// Driver of a volume that is made for a mount.
    DriverDocument { name: String = "Name", options: BTreeMap<String, String> = "Options" }
);

wire!(
    /// Options of a mount in memory.
    TmpfsDocument { size: i64 = "SizeBytes", mode: u64 = "Mode" }
);

impl MountDocument {
    /// The mount this document asks for.
    ///
    /// # Errors
    /// `Invalid` for a combination without meaning, `NotImplemented` for a
    /// type Shoal does not have.
    pub(super) fn into_domain(self) -> Result<Mount> {
        // A hint for macOS and Windows hosts; Docker ignores it on Linux, too.
        let _ = self.consistency;
        let options = [
            ("bind", self.bind.is_some(), "BindOptions"),
            ("volume", self.volume.is_some(), "VolumeOptions"),
            ("tmpfs", self.tmpfs.is_some(), "TmpfsOptions"),
        ];
        for (kind, present, name) in options {
            if present && kind != self.kind {
                return Err(ApiError::invalid(format!(
                    "invalid mount config for type {:?}: field {name} must not be specified",
                    self.kind
                )));
            }
        }
        let kind = match self.kind.as_str() {
            "bind" => read_bind(self.source, self.bind.unwrap_or_default())?,
            "volume" => read_volume(self.source, self.volume.unwrap_or_default()),
            "tmpfs" => read_tmpfs(&self.source, &self.tmpfs.unwrap_or_default())?,
            "image" | "npipe" | "cluster" => {
                return Err(ApiError::unsupported(format!("the mount type {:?}", self.kind)));
            }
            other => return Err(ApiError::invalid(format!("mount type unknown: {other:?}"))),
        };
        let destination = Mount::anonymous(&self.target)?.destination;
        Ok(Mount { destination, kind, read_only: self.read_only })
    }
}

fn read_bind(source: String, options: BindDocument) -> Result<MountKind> {
    if !source.starts_with('/') {
        let why = format!("invalid mount path: '{source}' mount path must be absolute");
        return Err(MountError::Config { kind: "bind", why }.into());
    }
    let propagation = match options.propagation.as_str() {
        "" => Propagation::default(),
        word => Propagation::parse(word)
            .ok_or_else(|| ApiError::invalid(format!("invalid propagation mode: {word}")))?,
    };
    Ok(MountKind::Bind {
        source,
        create_source: options.create_mountpoint,
        propagation,
        recursive: !options.non_recursive,
    })
}

fn read_volume(source: String, options: VolumeDocument) -> MountKind {
    let VolumeDocument { no_copy, labels, driver } = options;
    MountKind::Volume {
        name: (!source.is_empty()).then_some(source),
        driver: driver.name,
        labels,
        options: driver.options,
        copy_up: !no_copy,
    }
}

fn read_tmpfs(source: &str, options: &TmpfsDocument) -> Result<MountKind> {
    if !source.is_empty() {
        return Err(ApiError::invalid(
            "invalid mount config for type \"tmpfs\": field Source must not be specified",
        ));
    }
    let size = u64::try_from(options.size)
        .map_err(|_| ApiError::invalid("the size of a tmpfs mount cannot be negative"))?;
    let mode = u32::try_from(options.mode)
        .map_err(|_| ApiError::invalid(format!("invalid tmpfs mode {}", options.mode)))?;
    Ok(MountKind::Tmpfs(TmpfsOptions {
        size_bytes: (size > 0).then_some(size),
        mode: (mode > 0).then_some(mode),
        options: Vec::new(),
    }))
}

/// A mount as `HostConfig.Mounts` shows it.
pub(super) fn render_request(mount: &Mount) -> Value {
    let Mount { destination, kind, read_only } = mount;
    let mut document = json!({ "Target": destination, "ReadOnly": read_only });
    match kind {
        MountKind::Bind { source, create_source, propagation, recursive } => {
            document["Type"] = json!("bind");
            document["Source"] = json!(source);
            document["BindOptions"] = json!({
                "Propagation": propagation.as_str(),
                "NonRecursive": !recursive,
                "CreateMountpoint": create_source,
            });
        }
        MountKind::Volume { name, driver, labels, options, copy_up } => {
            document["Type"] = json!("volume");
            document["Source"] = json!(name.as_deref().unwrap_or_default());
            document["VolumeOptions"] = json!({ "NoCopy": !copy_up, "Labels": labels,
                "DriverConfig": { "Name": driver, "Options": options } });
        }
        MountKind::Tmpfs(TmpfsOptions { size_bytes, mode, options: _ }) => {
            document["Type"] = json!("tmpfs");
            document["TmpfsOptions"] = json!({ "SizeBytes": size_bytes.unwrap_or_default(),
                "Mode": mode.unwrap_or_default() });
        }
    }
    document
}

/// A mount as it is, as `Mounts` shows it. Docker leaves tmpfs mounts out
/// unless they came as `--mount`.
pub(super) fn render_point(point: &MountPoint) -> Option<Value> {
    let MountPoint { mount, source, anonymous: _, from_mounts } = point;
    let mut document = json!({
        "Destination": mount.destination,
        "Mode": "",
        "RW": !mount.read_only,
        "Propagation": "",
        "Source": source.display().to_string(),
    });
    match &mount.kind {
        MountKind::Bind { propagation, .. } => {
            document["Type"] = json!("bind");
            document["Propagation"] = json!(propagation.as_str());
        }
        MountKind::Volume { name, driver, .. } => {
            document["Type"] = json!("volume");
            document["Name"] = json!(name.as_deref().unwrap_or_default());
            document["Driver"] = json!(if driver.is_empty() { "local" } else { driver });
        }
        MountKind::Tmpfs(_) if !from_mounts => return None,
        MountKind::Tmpfs(_) => document["Type"] = json!("tmpfs"),
    }
    Some(document)
}

/// The text of a mount in the `Mounts` column of a list and in `HostConfig.Tmpfs`.
pub(super) fn tmpfs_text(options: &TmpfsOptions) -> String {
    options.options.join(",")
}
