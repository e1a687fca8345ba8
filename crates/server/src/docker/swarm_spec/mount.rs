//! Mounts of a task's container.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shoal_model::swarm::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::{DriverDocument, render_driver, set, set_flag, set_list, set_text};

wire!(
    /// One of `Mounts`.
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

impl MountDocument {
    /// The mount this document asks for.
    pub(super) fn into_domain(self) -> Result<Mount> {
        let Self { kind, source, target, read_only, consistency, bind, volume, tmpfs } = self;
        Ok(Mount {
            kind: read_kind(&kind)?,
            source,
            target,
            read_only,
            consistency,
            bind: bind.map(BindDocument::into_domain),
            volume: volume.map(VolumeDocument::into_domain),
            tmpfs: tmpfs.map(TmpfsDocument::into_domain).transpose()?,
        })
    }
}

fn read_kind(kind: &str) -> Result<MountKind> {
    match kind {
        "bind" => Ok(MountKind::Bind),
        "volume" => Ok(MountKind::Volume),
        "tmpfs" => Ok(MountKind::Tmpfs),
        "npipe" | "cluster" | "image" => {
            Err(ApiError::unsupported(format!("the mount type {kind:?}")))
        }
        other => Err(ApiError::invalid(format!("invalid mount type {other:?}"))),
    }
}

impl BindDocument {
    fn into_domain(self) -> BindOptions {
        BindOptions {
            propagation: self.propagation,
            non_recursive: self.non_recursive,
            create_mountpoint: self.create_mountpoint,
            read_only_non_recursive: self.read_only_non_recursive,
            read_only_force_recursive: self.read_only_force_recursive,
        }
    }
}

impl VolumeDocument {
    fn into_domain(self) -> VolumeOptions {
        let Self { no_copy, labels, driver, subpath } = self;
        VolumeOptions { no_copy, labels, driver: driver.map(DriverDocument::into_domain), subpath }
    }
}

impl TmpfsDocument {
    fn into_domain(self) -> Result<TmpfsOptions> {
        let Self { size, mode, options } = self;
        let mode = u32::try_from(mode)
            .map_err(|_| ApiError::invalid(format!("invalid tmpfs mode {mode}")))?;
        let options: Vec<String> = options.into_iter().map(|pair| pair.join("=")).collect();
        Ok(TmpfsOptions { size_bytes: size, mode, options: options.join(",") })
    }
}

/// A mount as Docker shows it.
pub(super) fn render_mount(mount: &Mount) -> Value {
    let Mount { kind, source, target, read_only, consistency, bind, volume, tmpfs } = mount;
    let mut document = json!({ "Type": kind_name(*kind), "Target": target });
    set_text(&mut document, "Source", source);
    set_flag(&mut document, "ReadOnly", *read_only);
    set_text(&mut document, "Consistency", consistency);
    set(&mut document, "BindOptions", bind.as_ref().map(render_bind));
    set(&mut document, "VolumeOptions", volume.as_ref().map(render_volume));
    set(&mut document, "TmpfsOptions", tmpfs.as_ref().map(render_tmpfs));
    document
}

fn kind_name(kind: MountKind) -> &'static str {
    match kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
        MountKind::NamedPipe => "npipe",
        MountKind::Cluster => "cluster",
    }
}

fn render_bind(bind: &BindOptions) -> Value {
    let BindOptions {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    } = bind;
    let mut document = json!({});
    set_text(&mut document, "Propagation", propagation);
    set_flag(&mut document, "NonRecursive", *non_recursive);
    set_flag(&mut document, "CreateMountpoint", *create_mountpoint);
    set_flag(&mut document, "ReadOnlyNonRecursive", *read_only_non_recursive);
    set_flag(&mut document, "ReadOnlyForceRecursive", *read_only_force_recursive);
    document
}

fn render_volume(volume: &VolumeOptions) -> Value {
    let VolumeOptions { no_copy, labels, driver, subpath } = volume;
    let mut document = json!({});
    set_flag(&mut document, "NoCopy", *no_copy);
    set_list(&mut document, "Labels", labels.is_empty(), || json!(labels));
    set(&mut document, "DriverConfig", driver.as_ref().map(render_driver));
    set_text(&mut document, "Subpath", subpath);
    document
}

fn render_tmpfs(tmpfs: &TmpfsOptions) -> Value {
    let TmpfsOptions { size_bytes, mode, options } = tmpfs;
    let mut document = json!({});
    set(&mut document, "SizeBytes", (*size_bytes != 0).then(|| json!(size_bytes)));
    set(&mut document, "Mode", (*mode != 0).then(|| json!(mode)));
    set_list(&mut document, "Options", options.is_empty(), || {
        let pairs = options.split(',').map(|option| match option.split_once('=') {
            Some((key, value)) => json!([key, value]),
            None => json!([option]),
        });
        pairs.collect()
    });
    document
}
