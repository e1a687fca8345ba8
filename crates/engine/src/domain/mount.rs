//! Mounts as callers give them: `-v`, `--mount` and `--tmpfs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shoal_model::{Classify, Kind};

/// A mount that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// Not `[source:]destination[:options]`.
    #[error("invalid volume specification: '{0}'")]
    Specification(String),
    /// An option after the second colon that nobody knows.
    #[error("invalid mode: {0}")]
    Mode(String),
    /// The destination is not absolute or is the root.
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    Relative(String),
    /// The destination is `/`.
    #[error("invalid specification: destination can't be '/'")]
    Root,
    /// Two mounts on one path.
    #[error("Duplicate mount point: {0}")]
    Duplicate(String),
    /// The source of `--mount type=bind` is not there.
    #[error("invalid mount config for type \"bind\": bind source path does not exist: {0}")]
    NoSource(String),
    /// A combination that has no meaning.
    #[error("invalid mount config for type \"{kind}\": {why}")]
    Config {
        /// `bind`, `volume` or `tmpfs`.
        kind: &'static str,
        /// What is wrong.
        why: String,
    },
    /// An option of `--tmpfs` that has no meaning.
    #[error("invalid tmpfs option {0}")]
    Tmpfs(String),
    /// An option this engine does not have.
    #[error("mount option {0} is not supported yet")]
    Unsupported(String),
}

impl Classify for MountError {
    fn kind(&self) -> Kind {
        match self {
            MountError::Unsupported(_) => Kind::NotImplemented,
            _ => Kind::Invalid,
        }
    }
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside the container.
    pub destination: String,
    /// Where its content comes from.
    pub kind: MountKind,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A path of the host.
    Bind {
        /// Absolute path on the host.
        source: String,
        /// Make the source a directory if it is not there (`-v` does, `--mount` does not).
        create_source: bool,
        /// How mounts below it travel.
        propagation: Propagation,
        /// Whether mounts below the source come along.
        recursive: bool,
    },
    /// A volume.
    Volume {
        /// Its name; `None` is a new anonymous one.
        name: Option<String>,
        /// Driver; empty is `local`, the only one there is.
        driver: String,
        /// Labels of a volume that is made for this mount.
        labels: BTreeMap<String, String>,
        /// Driver options of a volume that is made for this mount.
        options: BTreeMap<String, String>,
        /// Copy what the image has at the destination into an empty volume.
        copy_up: bool,
    },
    /// Memory.
    Tmpfs(TmpfsOptions),
}

/// Limits of a tmpfs mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsOptions {
    /// Upper limit in bytes; `None` is the kernel's default.
    pub size_bytes: Option<u64>,
    /// Permission bits of its root; `None` is 1777.
    pub mode: Option<u32>,
    /// Mount options as `--tmpfs /path:OPTIONS` gives them (`rw,noexec,size=64m`).
    pub options: Vec<String>,
}

/// How mounts below a bind mount travel between host and container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// They do not.
    #[default]
    Rprivate,
    /// As `Rprivate`, the top mount only.
    Private,
    /// From the host into the container.
    Rslave,
    /// As `Rslave`, the top mount only.
    Slave,
    /// Both ways.
    Rshared,
    /// As `Rshared`, the top mount only.
    Shared,
}

impl Propagation {
    /// The word of `mount(8)`.
    pub fn as_str(self) -> &'static str {
        match self {
            Propagation::Rprivate => "rprivate",
            Propagation::Private => "private",
            Propagation::Rslave => "rslave",
            Propagation::Slave => "slave",
            Propagation::Rshared => "rshared",
            Propagation::Shared => "shared",
        }
    }

    /// Reads the word of `mount(8)`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "rprivate" => Propagation::Rprivate,
            "private" => Propagation::Private,
            "rslave" => Propagation::Rslave,
            "slave" => Propagation::Slave,
            "rshared" => Propagation::Rshared,
            "shared" => Propagation::Shared,
            _ => return None,
        })
    }
}

impl Mount {
    /// Reads one `-v` / `HostConfig.Binds` text: `source:destination[:options]`,
    /// where a source that is not a path names a volume. A path alone is an anonymous one.
    ///
    /// # Errors
    /// Text of another form, an unknown option, a relative destination.
    pub fn parse_bind(text: &str) -> Result<Mount, MountError> {
        let wrong = || MountError::Specification(text.into());
        if text.starts_with('/') && !text.contains(':') {
            return Self::anonymous(text);
        }
        let mut parts = text.splitn(3, ':');
        let source = parts.next().filter(|part| !part.is_empty()).ok_or_else(wrong)?;
        let destination = parts.next().filter(|part| !part.is_empty()).ok_or_else(wrong)?;
        let options = BindOptions::parse(parts.next().unwrap_or_default())?;
        let destination = check_destination(destination)?;
        let kind = if source.starts_with('/') {
            MountKind::Bind {
                source: clean_path(source),
                create_source: true,
                propagation: options.propagation.unwrap_or_default(),
                recursive: true,
            }
        } else if source.contains('/') || source.starts_with('.') {
            return Err(MountError::Specification(text.into()));
        } else {
            MountKind::Volume {
                name: Some(source.into()),
                driver: String::new(),
                labels: BTreeMap::new(),
                options: BTreeMap::new(),
                copy_up: options.copy_up,
            }
        };
        Ok(Mount { destination, kind, read_only: options.read_only })
    }

    /// Reads one `HostConfig.Tmpfs` entry: a path and comma-separated mount options.
    ///
    /// # Errors
    /// A relative destination, an option that has no meaning.
    pub fn parse_tmpfs(destination: &str, options: &str) -> Result<Mount, MountError> {
        let options: Vec<String> =
            options.split(',').filter(|option| !option.is_empty()).map(Into::into).collect();
        options.iter().try_for_each(|option| check_tmpfs_option(option))?;
        Ok(Mount {
            destination: check_destination(destination)?,
            read_only: options.iter().any(|option| option == "ro"),
            kind: MountKind::Tmpfs(TmpfsOptions { size_bytes: None, mode: None, options }),
        })
    }

    /// An anonymous volume at `destination` (`-v /data`, an image's `VOLUME`).
    ///
    /// # Errors
    /// A relative destination.
    pub fn anonymous(destination: &str) -> Result<Mount, MountError> {
        Ok(Mount {
            destination: check_destination(destination)?,
            read_only: false,
            kind: MountKind::Volume {
                name: None,
                driver: String::new(),
                labels: BTreeMap::new(),
                options: BTreeMap::new(),
                copy_up: true,
            },
        })
    }
}

/// Docker's options of a tmpfs, with values the kernel takes.
fn check_tmpfs_option(option: &str) -> Result<(), MountError> {
    const WORDS: [&str; 24] = [
        "private",
        "rprivate",
        "slave",
        "rslave",
        "defaults",
        "ro",
        "rw",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "exec",
        "noexec",
        "sync",
        "async",
        "dirsync",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "relatime",
        "norelatime",
        "strictatime",
        "nostrictatime",
    ];
    let Some((key, value)) = option.split_once('=') else {
        return match WORDS.contains(&option) {
            true => Ok(()),
            false => Err(MountError::Tmpfs(format!("[{option:?}]"))),
        };
    };
    let number = |text: &str| text.parse::<u64>().is_ok();
    let size = |suffixes: &[char]| number(value.strip_suffix(suffixes).unwrap_or(value));
    let (fits, what) = match key {
        "size" => (size(&['k', 'm', 'g', 'K', 'M', 'G', '%']), "a size"),
        "nr_blocks" | "nr_inodes" => (size(&['k', 'm', 'g', 'K', 'M', 'G']), "a number"),
        "uid" | "gid" => (value.parse::<u32>().is_ok(), "a number"),
        "mode" => (u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o7777), "a mode"),
        "mpol" => (true, ""),
        _ => return Err(MountError::Tmpfs(format!("[{key:?} {value:?}]"))),
    };
    match fits {
        true => Ok(()),
        false => Err(MountError::Tmpfs(format!("[{key:?} {value:?}]: {value:?} is not {what}"))),
    }
}

struct BindOptions {
    read_only: bool,
    copy_up: bool,
    propagation: Option<Propagation>,
}

impl BindOptions {
    fn parse(text: &str) -> Result<Self, MountError> {
        let mut read = BindOptions { read_only: false, copy_up: true, propagation: None };
        for word in text.split(',').filter(|word| !word.is_empty()) {
            match word {
                "rw" => read.read_only = false,
                "ro" => read.read_only = true,
                "nocopy" => read.copy_up = false,
                // Labels for SELinux hosts; there is nothing to relabel elsewhere, as in Docker.
                "z" | "Z" => {}
                // Hints for file shares of macOS, without meaning here, as in Docker.
                "consistent" | "cached" | "delegated" => {}
                other => match Propagation::parse(other) {
                    Some(propagation) => read.propagation = Some(propagation),
                    None => return Err(MountError::Mode(text.into())),
                },
            }
        }
        Ok(read)
    }
}

/// An absolute destination without `.`, `..` and doubled slashes.
pub(crate) fn check_destination(path: &str) -> Result<String, MountError> {
    if !path.starts_with('/') {
        return Err(MountError::Relative(path.into()));
    }
    match clean_path(path) {
        root if root == "/" => Err(MountError::Root),
        clean => Ok(clean),
    }
}

/// `path` made absolute, `..` and `.` resolved as text, never above the root.
pub(crate) fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_tmpfs_are_checked() {
        for options in [
            "",
            "rw,noexec,nosuid,size=65536k",
            "size=50%,mode=1777,uid=1000,gid=1000,nr_inodes=4k",
            "ro,mpol=bind:0",
        ] {
            assert!(Mount::parse_tmpfs("/x", options).is_ok(), "{options}");
        }
        for (options, why) in [
            ("foo", "invalid tmpfs option [\"foo\"]"),
            ("rw,size=abc", "invalid tmpfs option [\"size\" \"abc\"]: \"abc\" is not a size"),
            ("mode=9", "invalid tmpfs option [\"mode\" \"9\"]: \"9\" is not a mode"),
            ("uid=root", "invalid tmpfs option [\"uid\" \"root\"]: \"root\" is not a number"),
            ("a=b", "invalid tmpfs option [\"a\" \"b\"]"),
        ] {
            let error = Mount::parse_tmpfs("/x", options).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (why, Kind::Invalid));
        }
    }

    #[test]
    fn a_path_is_a_bind_and_a_name_is_a_volume() {
        let bind = Mount::parse_bind("/srv/./www/:/data//x:ro,rslave").unwrap();
        assert_eq!(bind.destination, "/data/x");
        assert!(bind.read_only);
        let MountKind::Bind { source, create_source, propagation, .. } = bind.kind else {
            panic!("not a bind");
        };
        assert_eq!(
            (source.as_str(), create_source, propagation),
            ("/srv/www", true, Propagation::Rslave)
        );
        let volume = Mount::parse_bind("cache:/data:nocopy").unwrap();
        let MountKind::Volume { name, copy_up, .. } = volume.kind else { panic!("not a volume") };
        assert_eq!((name.as_deref(), copy_up), (Some("cache"), false));
    }

    #[test]
    fn bad_texts_are_refused_by_name() {
        for (text, message) in [
            ("x", "invalid volume specification: 'x'"),
            ("a:b", "invalid mount path: 'b' mount path must be absolute"),
            ("a:/b:maybe", "invalid mode: maybe"),
            ("a:/..", "invalid specification: destination can't be '/'"),
            ("./a:/b", "invalid volume specification: './a:/b'"),
        ] {
            assert_eq!(Mount::parse_bind(text).unwrap_err().to_string(), message);
        }
    }
}
