//! Mounts of the OCI spec: their options sorted into what the kernel wants where.

use std::path::PathBuf;

use shoal_sys::mount::{Attributes, Change, Propagation};

use super::{absolute, invalid, propagation_named, unbuilt};
use crate::{bundle::Bundle, protocol::Failure, spec::Mount};

/// One mount to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountPlan {
    /// In the container.
    pub(crate) destination: PathBuf,
    pub(crate) kind: MountKind,
    pub(crate) options: MountOptions,
}

/// What is to be changed about a mount once it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// Set on it alone.
    pub(crate) set: Attributes,
    /// Cleared on it alone. Never that it is read-only: a bind mount would make
    /// writable what the host has read-only.
    pub(crate) clear: Attributes,
    /// Set on it and on everything mounted below it.
    pub(crate) set_below: Attributes,
    /// How it propagates, and whether everything below it does so, too.
    pub(crate) propagation: Option<(Propagation, bool)>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MountKind {
    /// A file or directory of the host.
    Bind { source: PathBuf, recursive: bool },
    /// A new file system of this type, with its own options.
    FileSystem { kind: String, source: Option<String>, options: Vec<(String, Option<String>)> },
    /// The container's own control groups; always read-only unless `rw` was
    /// asked for.
    Cgroup { writable: bool },
}

impl MountPlan {
    pub(super) fn new(bundle: &Bundle, mount: &Mount) -> Result<Self, Failure> {
        let destination = absolute(&mount.destination)?;
        if mount.uid_mappings.says_something() || mount.gid_mappings.says_something() {
            return Err(unbuilt(&format!("id mappings of mount {}", destination.display())));
        }
        let mut options = Options::default();
        for option in &mount.options {
            options.take(option, &destination)?;
        }
        let kind = mount.r#type.as_deref().unwrap_or("bind");
        let source = mount.source.clone();
        let kind = match (options.bind, kind) {
            (Some(recursive), _) => bind(bundle, source, recursive, &destination)?,
            // Docker writes type `bind` with or without the option.
            (None, "bind" | "none" | "") => bind(bundle, source, true, &destination)?,
            (None, "cgroup" | "cgroup2") => {
                MountKind::Cgroup { writable: options.write == Some(true) }
            }
            (None, kind) => MountKind::FileSystem {
                kind: kind.into(),
                source: source.and_then(|path| path.to_str().map(str::to_owned)),
                options: options.data,
            },
        };
        Ok(Self { destination, kind, options: options.mount })
    }
}

impl MountOptions {
    /// The kernel's calls that make it so. Each is for the one mount or for all
    /// below it, too, and what is asked for differs in that.
    pub(crate) fn changes(self) -> impl Iterator<Item = Change> {
        let Self { set, clear, set_below, propagation } = self;
        let (how, recursive) = propagation.unzip();
        [
            Change {
                propagation: how,
                recursive: recursive.unwrap_or_default(),
                ..Change::default()
            },
            Change { set: set_below, recursive: !set_below.is_empty(), ..Change::default() },
            Change { set, clear, ..Change::default() },
        ]
        .into_iter()
        .filter(|change| *change != Change::default())
    }
}

fn bind(
    bundle: &Bundle,
    source: Option<PathBuf>,
    recursive: bool,
    destination: &std::path::Path,
) -> Result<MountKind, Failure> {
    let source =
        source.ok_or_else(|| invalid(format!("mount {} has no source", destination.display())))?;
    Ok(MountKind::Bind { source: bundle.dir().join(source), recursive })
}

/// Options as they are met.
#[derive(Default)]
struct Options {
    bind: Option<bool>,
    write: Option<bool>,
    mount: MountOptions,
    data: Vec<(String, Option<String>)>,
}

impl Options {
    fn take(&mut self, option: &str, destination: &std::path::Path) -> Result<(), Failure> {
        let mount = &mut self.mount;
        if let Some((attribute, on)) = attribute(option) {
            let (to, from) = match on {
                true => (&mut mount.set, &mut mount.clear),
                false => (&mut mount.clear, &mut mount.set),
            };
            *to = to.with(attribute);
            *from = from.without(attribute);
            return Ok(());
        }
        if let Some(propagation) = propagation_named(option) {
            mount.propagation = Some(propagation);
            return Ok(());
        }
        match option {
            "ro" => {
                mount.set = mount.set.with(Attributes::READ_ONLY);
                self.write = Some(false);
            }
            "rro" => {
                mount.set_below = mount.set_below.with(Attributes::READ_ONLY);
                self.write = Some(false);
            }
            "rw" => {
                mount.set = mount.set.without(Attributes::READ_ONLY);
                mount.set_below = mount.set_below.without(Attributes::READ_ONLY);
                self.write = Some(true);
            }
            "bind" => self.bind = Some(false),
            "rbind" => self.bind = Some(true),
            "defaults" | "async" => {}
            "shared" | "rshared" | "remount" | "idmap" | "ridmap" | "tmpcopyup"
            | "copy-symlink" | "rnosuid" | "rnodev" | "rnoexec" => {
                let what = format!("option {option:?} of mount {}", destination.display());
                return Err(unbuilt(&what));
            }
            other => match other.split_once('=') {
                Some((name, value)) => self.data.push((name.into(), Some(value.into()))),
                None => self.data.push((other.into(), None)),
            },
        }
        Ok(())
    }
}

/// An option that is an attribute of the mount: set or cleared by it.
fn attribute(option: &str) -> Option<(Attributes, bool)> {
    Some(match option {
        "nosuid" => (Attributes::NO_SUID, true),
        "suid" => (Attributes::NO_SUID, false),
        "nodev" => (Attributes::NO_DEV, true),
        "dev" => (Attributes::NO_DEV, false),
        "noexec" => (Attributes::NO_EXEC, true),
        "exec" => (Attributes::NO_EXEC, false),
        "noatime" => (Attributes::NO_ATIME, true),
        "strictatime" => (Attributes::STRICT_ATIME, true),
        // The kernel's default.
        "relatime" | "atime" | "norelatime" | "nostrictatime" => (Attributes::ATIME, false),
        "nodiratime" => (Attributes::NO_DIR_ATIME, true),
        "diratime" => (Attributes::NO_DIR_ATIME, false),
        "nosymfollow" => (Attributes::NO_SYMFOLLOW, true),
        "symfollow" => (Attributes::NO_SYMFOLLOW, false),
        _ => return None,
    })
}
