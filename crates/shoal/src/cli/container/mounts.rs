//! `-v`, `--mount` and `--tmpfs`.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value, json};

use super::values::bytes;

/// Mounts of a new container.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// `Binds`.
    pub(super) binds: Vec<String>,
    /// `Volumes`: anonymous ones.
    pub(super) volumes: Map<String, Value>,
    /// `Mounts`.
    pub(super) mounts: Vec<Value>,
    /// `Tmpfs`.
    pub(super) tmpfs: Map<String, Value>,
}

impl Mounts {
    /// Reads the flags.
    pub(super) fn read(volume: &[String], mount: &[String], tmpfs: &[String]) -> Result<Self> {
        let mut mounts = Self::default();
        for text in volume {
            match text.split_once(':') {
                None => drop(mounts.volumes.insert(text.clone(), json!({}))),
                Some((source, rest)) => mounts.binds.push(format!("{}:{rest}", absolute(source)?)),
            }
        }
        for text in mount {
            mounts.mounts.push(read_mount(text)?);
        }
        for text in tmpfs {
            let (target, options) = text.split_once(':').unwrap_or((text, ""));
            mounts.tmpfs.insert(target.to_owned(), json!(options));
        }
        Ok(mounts)
    }
}

/// A source that is a relative path is one of ours; a name is a volume's.
fn absolute(source: &str) -> Result<String> {
    if !source.starts_with('.') {
        return Ok(source.to_owned());
    }
    let path = std::env::current_dir().context("finding the working directory")?.join(source);
    Ok(clean(&path))
}

fn clean(path: &Path) -> String {
    use std::path::Component;
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}

/// Reads `type=…,source=…,target=…,…`.
pub(in crate::cli) fn read_mount(text: &str) -> Result<Value> {
    let mut mount = json!({ "Type": "volume" });
    let mut options = json!({});
    for field in text.split(',').filter(|field| !field.is_empty()) {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field, None),
        };
        read_field(&mut mount, &mut options, key, value)
            .with_context(|| format!("invalid argument {text:?} for \"--mount\""))?;
    }
    if mount.get("Target").is_none() {
        bail!("invalid argument {text:?} for \"--mount\": target is required");
    }
    let kind = mount["Type"].as_str().unwrap_or_default().to_owned();
    let key = match kind.as_str() {
        "bind" => "BindOptions",
        "tmpfs" => "TmpfsOptions",
        _ => "VolumeOptions",
    };
    if options.as_object().is_some_and(|options| !options.is_empty()) {
        mount[key] = options;
    }
    Ok(mount)
}

fn read_field(
    mount: &mut Value,
    options: &mut Value,
    key: &str,
    value: Option<&str>,
) -> Result<()> {
    let needed = || value.ok_or_else(|| anyhow!("{key} needs a value"));
    let flag = || match value {
        None | Some("1" | "true") => Ok(true),
        Some("0" | "false") => Ok(false),
        Some(other) => Err(anyhow!("invalid value for {key}: {other}")),
    };
    match key {
        "type" => mount["Type"] = json!(needed()?.to_lowercase()),
        "source" | "src" => mount["Source"] = json!(absolute(needed()?)?),
        "target" | "dst" | "destination" => mount["Target"] = json!(needed()?),
        "readonly" | "ro" => mount["ReadOnly"] = json!(flag()?),
        "consistency" => mount["Consistency"] = json!(needed()?),
        "bind-propagation" => options["Propagation"] = json!(needed()?),
        "bind-nonrecursive" => options["NonRecursive"] = json!(flag()?),
        "bind-create-src" => options["CreateMountpoint"] = json!(flag()?),
        "volume-nocopy" => options["NoCopy"] = json!(flag()?),
        "volume-subpath" => options["Subpath"] = json!(needed()?),
        "volume-driver" => options["DriverConfig"]["Name"] = json!(needed()?),
        "volume-opt" | "volume-label" => {
            let (name, text) = needed()?.split_once('=').unwrap_or((needed()?, ""));
            match key {
                "volume-opt" => options["DriverConfig"]["Options"][name] = json!(text),
                _ => options["Labels"][name] = json!(text),
            }
        }
        "tmpfs-size" => options["SizeBytes"] = json!(bytes(Some(needed()?))?),
        "tmpfs-mode" => {
            let mode =
                u32::from_str_radix(needed()?, 8).context("tmpfs-mode is no octal number")?;
            options["Mode"] = json!(mode);
        }
        other => bail!("unexpected key '{other}'"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_dockers() {
        assert_eq!(
            read_mount("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave").expect("a mount"),
            json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true,
                "BindOptions": {"Propagation": "rslave"}})
        );
        assert_eq!(
            read_mount("target=/b,volume-opt=type=nfs,volume-label=a=b").expect("a mount"),
            json!({"Type": "volume", "Target": "/b", "VolumeOptions": {
                "DriverConfig": {"Options": {"type": "nfs"}}, "Labels": {"a": "b"}}})
        );
        assert_eq!(
            read_mount("type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=1777").expect("a mount")["TmpfsOptions"],
            json!({"SizeBytes": 1 << 20, "Mode": 0o1777})
        );
        assert!(read_mount("type=bind").is_err() && read_mount("target=/b,nonsense=1").is_err());
        let volumes = ["/data".to_owned(), "/a:/b:ro".to_owned(), "./x/../y:/c".to_owned()];
        let mounts = Mounts::read(&volumes, &[], &["/t:size=1m".to_owned()]).expect("mounts");
        assert!(mounts.volumes.contains_key("/data") && mounts.binds[0] == "/a:/b:ro");
        assert!(mounts.binds[1].starts_with('/') && mounts.binds[1].ends_with("/y:/c"));
        assert_eq!(mounts.tmpfs["/t"], "size=1m");
    }
}
