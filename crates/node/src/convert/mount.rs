//! File systems a container mounts.

use shoal_model::swarm::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};

use super::words::{number, word};
use super::{ConvertError, driver_from_wire, driver_to_wire, map_from_wire, map_to_wire};
use crate::wire;

/// The words of the API for the wire's numbers, which are their places.
const CONSISTENCIES: [&str; 4] = ["", "consistent", "cached", "delegated"];
const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

pub(super) fn mount_to_wire(mount: &Mount) -> wire::Mount {
    let Mount { kind, source, target, read_only, consistency, bind, volume, tmpfs } = mount;
    let kind = match kind {
        MountKind::Bind => wire::MountType::Bind,
        MountKind::Volume => wire::MountType::Volume,
        MountKind::Tmpfs => wire::MountType::Tmpfs,
        MountKind::NamedPipe => wire::MountType::NamedPipe,
        MountKind::Cluster => wire::MountType::Cluster,
    };
    wire::Mount {
        r#type: kind as i32,
        source: source.clone(),
        target: target.clone(),
        readonly: *read_only,
        bind_options: bind.as_ref().map(|options| {
            let BindOptions {
                propagation,
                non_recursive,
                create_mountpoint,
                read_only_non_recursive,
                read_only_force_recursive,
            } = options;
            wire::BindOptions {
                propagation: number(&PROPAGATIONS, propagation),
                non_recursive: *non_recursive,
                create_mountpoint: *create_mountpoint,
                read_only_non_recursive: *read_only_non_recursive,
                read_only_force_recursive: *read_only_force_recursive,
            }
        }),
        volume_options: volume.as_ref().map(|options| {
            let VolumeOptions { no_copy, labels, driver, subpath } = options;
            wire::VolumeOptions {
                no_copy: *no_copy,
                labels: map_to_wire(labels),
                driver_config: driver.as_ref().map(driver_to_wire),
                subpath: subpath.clone(),
            }
        }),
        tmpfs_options: tmpfs.as_ref().map(|options| {
            let TmpfsOptions { size_bytes, mode, options } = options;
            wire::TmpfsOptions { size_bytes: *size_bytes, mode: *mode, options: options.clone() }
        }),
        consistency: number(&CONSISTENCIES, consistency),
    }
}

pub(super) fn mount_from_wire(mount: wire::Mount) -> Result<Mount, ConvertError> {
    let wire::Mount {
        r#type,
        source,
        target,
        readonly,
        bind_options,
        volume_options,
        tmpfs_options,
        consistency,
    } = mount;
    let kind = match wire::MountType::try_from(r#type) {
        Ok(wire::MountType::Bind) => MountKind::Bind,
        Ok(wire::MountType::Volume) => MountKind::Volume,
        Ok(wire::MountType::Tmpfs) => MountKind::Tmpfs,
        Ok(wire::MountType::NamedPipe) => MountKind::NamedPipe,
        Ok(wire::MountType::Cluster) => MountKind::Cluster,
        Err(error) => return Err(ConvertError::new("mount type", error)),
    };
    Ok(Mount {
        kind,
        source,
        target,
        read_only: readonly,
        consistency: word("mount consistency", &CONSISTENCIES, consistency)?,
        bind: bind_options.map(bind_from_wire).transpose()?,
        volume: volume_options.map(|options| {
            let wire::VolumeOptions { no_copy, labels, driver_config, subpath } = options;
            VolumeOptions {
                no_copy,
                labels: map_from_wire(labels),
                driver: driver_config.map(driver_from_wire),
                subpath,
            }
        }),
        tmpfs: tmpfs_options.map(|options| {
            let wire::TmpfsOptions { size_bytes, mode, options } = options;
            TmpfsOptions { size_bytes, mode, options }
        }),
    })
}

fn bind_from_wire(options: wire::BindOptions) -> Result<BindOptions, ConvertError> {
    let wire::BindOptions {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    } = options;
    Ok(BindOptions {
        propagation: word("mount propagation", &PROPAGATIONS, propagation)?,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    })
}
