//! Mounts of a container, both ways.

use serde_json::{Value, json};
use shoal_engine::domain::{Mount, MountError, MountKind, MountPoint, Propagation, TmpfsOptions};

use super::super::documents::{
    BindDocument, DriverDocument, MountDocument, TmpfsDocument, VolumeDocument,
};
use super::super::error::{ApiError, Result};

/// The mount the document asks for.
///
/// # Errors
/// `Invalid` for a combination without meaning, `NotImplemented` for a type or an option Shoal
/// does not have.
pub(super) fn read(document: MountDocument) -> Result<Mount> {
    let MountDocument { kind, source, target, read_only, consistency, bind, volume, tmpfs } =
        document;
    // A hint for macOS and Windows hosts; Docker ignores it on Linux, too.
    let _ = consistency;
    let options = [
        ("bind", bind.is_some(), "BindOptions"),
        ("volume", volume.is_some(), "VolumeOptions"),
        ("tmpfs", tmpfs.is_some(), "TmpfsOptions"),
    ];
    for (owner, present, name) in options {
        if present && owner != kind {
            return Err(ApiError::invalid(format!(
                "invalid mount config for type {kind:?}: field {name} must not be specified"
            )));
        }
    }
    let kind = match kind.as_str() {
        "bind" => read_bind(source, bind.unwrap_or_default())?,
        "volume" => read_volume(source, volume.unwrap_or_default())?,
        "tmpfs" => read_tmpfs(&source, &tmpfs.unwrap_or_default())?,
        "image" | "npipe" | "cluster" => {
            return Err(ApiError::unsupported(format!("the mount type {kind:?}")));
        }
        other => return Err(ApiError::invalid(format!("mount type unknown: {other:?}"))),
    };
    let destination = Mount::anonymous(&target)?.destination;
    Ok(Mount { destination, kind, read_only })
}

/// Refuses an option that services have and containers do not.
fn refuse(set: bool, option: &str) -> Result<()> {
    if set {
        return Err(ApiError::unsupported(format!("HostConfig.Mounts.{option}")));
    }
    Ok(())
}

fn read_bind(source: String, options: BindDocument) -> Result<MountKind> {
    let BindDocument {
        propagation,
        non_recursive,
        create_mountpoint,
        read_only_non_recursive,
        read_only_force_recursive,
    } = options;
    refuse(read_only_non_recursive, "BindOptions.ReadOnlyNonRecursive")?;
    refuse(read_only_force_recursive, "BindOptions.ReadOnlyForceRecursive")?;
    if !source.starts_with('/') {
        let why = format!("invalid mount path: '{source}' mount path must be absolute");
        return Err(MountError::Config { kind: "bind", why }.into());
    }
    let propagation = match propagation.as_str() {
        "" => Propagation::default(),
        word => Propagation::parse(word)
            .ok_or_else(|| ApiError::invalid(format!("invalid propagation mode: {word}")))?,
    };
    Ok(MountKind::Bind {
        source,
        create_source: create_mountpoint,
        propagation,
        recursive: !non_recursive,
    })
}

fn read_volume(source: String, options: VolumeDocument) -> Result<MountKind> {
    let VolumeDocument { no_copy, labels, driver, subpath } = options;
    refuse(!subpath.is_empty(), "VolumeOptions.Subpath")?;
    let DriverDocument { name: driver, options } = driver.unwrap_or_default();
    Ok(MountKind::Volume {
        name: (!source.is_empty()).then_some(source),
        driver,
        labels,
        options,
        copy_up: !no_copy,
    })
}

fn read_tmpfs(source: &str, options: &TmpfsDocument) -> Result<MountKind> {
    if !source.is_empty() {
        return Err(ApiError::invalid(
            "invalid mount config for type \"tmpfs\": field Source must not be specified",
        ));
    }
    let said = options.options.iter().flatten().any(|word| !word.is_empty());
    refuse(said, "TmpfsOptions.Options")?;
    let size = u64::try_from(options.size)
        .map_err(|_| ApiError::invalid("the size of a tmpfs mount cannot be negative"))?;
    let mode = options.mode()?;
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

#[cfg(test)]
mod tests {
    use super::super::super::wire::{At, Wire};
    use super::*;

    fn asked(options: Value) -> Result<Mount> {
        let mut document = json!({ "Type": "volume", "Source": "data", "Target": "/data" });
        if let (Value::Object(document), Value::Object(options)) = (&mut document, options) {
            document.extend(options);
        }
        read(MountDocument::read(document, &At::ROOT)?)
    }

    #[test]
    fn what_only_services_have_is_refused_by_name() {
        for (options, text) in [
            (
                json!({ "Type": "bind", "Source": "/", "BindOptions": { "ReadOnlyNonRecursive": true } }),
                "HostConfig.Mounts.BindOptions.ReadOnlyNonRecursive is not supported",
            ),
            (
                json!({ "VolumeOptions": { "Subpath": "a" } }),
                "HostConfig.Mounts.VolumeOptions.Subpath is not supported",
            ),
            (
                json!({ "Type": "tmpfs", "Source": "", "TmpfsOptions": { "Options": [["ro"]] } }),
                "HostConfig.Mounts.TmpfsOptions.Options is not supported",
            ),
        ] {
            assert_eq!(asked(options).expect_err("refused").message(), text);
        }
        let unsaid = json!({ "VolumeOptions": { "Subpath": "", "DriverConfig": null } });
        assert!(asked(unsaid).is_ok());
    }
}
