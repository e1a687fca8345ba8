//! Mounts of a task's container.

use serde_json::{Value, json};
use shoal_model::swarm::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};

use super::super::documents::{BindDocument, MountDocument, TmpfsDocument, VolumeDocument};
use super::super::error::{ApiError, Result};
use super::{read_driver, render_driver, set, set_flag, set_list, set_text};

/// The mount the document asks for.
///
/// # Errors
/// `Invalid` for a value that makes no sense, `NotImplemented` for a type Shoal does not have.
pub(super) fn read_mount(document: MountDocument) -> Result<Mount> {
    let MountDocument { kind, source, target, read_only, consistency, bind, volume, tmpfs } =
        document;
    Ok(Mount {
        kind: read_kind(&kind)?,
        source,
        target,
        read_only,
        consistency,
        bind: bind.map(read_bind),
        volume: volume.map(read_volume),
        tmpfs: tmpfs.map(read_tmpfs).transpose()?,
    })
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

fn read_bind(document: BindDocument) -> BindOptions {
    let BindDocument {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    } = document;
    BindOptions {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    }
}

fn read_volume(document: VolumeDocument) -> VolumeOptions {
    let VolumeDocument { no_copy, labels, driver, subpath } = document;
    VolumeOptions { no_copy, labels, driver: driver.map(read_driver), subpath }
}

fn read_tmpfs(document: TmpfsDocument) -> Result<TmpfsOptions> {
    let mode = document.mode()?;
    let TmpfsDocument { size, mode: _, options } = document;
    let options: Vec<String> = options.into_iter().map(|pair| pair.join("=")).collect();
    Ok(TmpfsOptions { size_bytes: size, mode, options: options.join(",") })
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
