//! What the engine and a shim share on disk: one directory per container.
//!
//! | file          | written by | when |
//! |---------------|------------|------|
//! | `config.json` | engine     | before launch: the OCI runtime spec |
//! | `shim.json`   | engine     | before launch: what the OCI spec cannot say ([`ShimConfig`]) |
//! | `shim.sock`   | shim       | from launch until it leaves |
//! | `shim.log`    | shim       | its own complaints; empty in the normal case |
//! | `exit.json`   | shim       | once, whole ([`ExitRecord`]), before anybody is told |
//!
//! Each file has one writer. Files appear by rename, so a reader sees all of a
//! file or none. The directory belongs to the engine, which makes and removes it;
//! like what is in it, it is for root alone: the environment in `config.json` holds
//! secrets.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use shoal_model::{Classify, Kind, Timestamp};

use crate::spec::Spec;

/// The directory of one container, by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    dir: PathBuf,
}

/// A file of a bundle could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Reading or writing failed.
    #[error("cannot access {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there and is not what it should be.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the JSON reader says.
        source: serde_json::Error,
    },
}

impl Classify for BundleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Io { .. } | Self::Damaged { .. } => Kind::Internal,
        }
    }
}

/// What the shim must know beyond the OCI spec (`shim.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimConfig {
    /// The container's id, for messages only.
    pub id: String,
    /// Where the root file system comes from.
    pub root: RootFs,
    /// Give the container a standard input that clients can attach to;
    /// otherwise it reads `/dev/null` (with a terminal: the terminal).
    #[serde(default)]
    pub open_stdin: bool,
    /// Close standard input for good when the first attached client closes its.
    #[serde(default)]
    pub stdin_once: bool,
    /// Write standard output and error to this file in Docker's json-file form.
    #[serde(default)]
    pub log: Option<LogConfig>,
    /// A seccomp program as [`shoal_sys::seccomp::Program::write_to`] writes it;
    /// takes the place of the OCI spec's `linux.seccomp`.
    #[serde(default)]
    pub seccomp_program: Option<PathBuf>,
    /// `user[:group]` as Docker users write it, names or numbers; resolved
    /// in the container's own `/etc/passwd` and `/etc/group` read as data.
    /// Takes the place of the OCI spec's `process.user` (its umask stays);
    /// sets `HOME` when the environment lacks it.
    #[serde(default)]
    pub user_text: Option<String>,
    /// More groups (`--group-add`), names or numbers, resolved the same way.
    #[serde(default)]
    pub group_texts: Vec<String>,
    /// A network namespace travels with [`crate::launch::launch`] and wins over
    /// the OCI spec's `network` entry.
    #[serde(default)]
    pub network_from_engine: bool,
    /// What may fail with EPERM without failing the container, because Docker's
    /// default asks for it and not the user.
    #[serde(default)]
    pub lenient: Lenient,
}

/// Where the root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootFs {
    /// An overlay, mounted inside the container's mount namespace only.
    Overlay {
        /// Read-only layers, topmost first; any number the kernel takes (500).
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// Overlayfs's own directory, empty, on the file system of `upper`.
        work: PathBuf,
    },
    /// The OCI spec's `root.path`.
    Spec,
}

/// Requests that are dropped instead of failed when the kernel says EPERM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lenient {
    /// Raising a hard rlimit (needs CAP_SYS_RESOURCE).
    #[serde(default)]
    pub rlimits: bool,
    /// Lowering `oom_score_adj` (needs CAP_SYS_RESOURCE).
    #[serde(default)]
    pub oom_score_adj: bool,
}

/// Docker's json-file log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// The live file; rotated ones are `path.1` (newest) to `path.N`.
    pub path: PathBuf,
    /// Rotate before a write would pass this many bytes; `None`: never.
    #[serde(default)]
    pub max_size_bytes: Option<u64>,
    /// Files kept in all, the live one included; at least 1 (Docker's `max-file`).
    #[serde(default = "one")]
    pub max_files: u32,
}

fn one() -> u32 {
    1
}

/// How a container ended (`exit.json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The process's status, or 128 + signal; 127 or 126 when it never ran.
    pub exit_code: i32,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// The kernel killed a process of this container for lack of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// Why it never ran.
    #[serde(default)]
    pub error: Option<String>,
    /// When its process was started; `None` if it never was.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When the shim saw it end.
    pub finished_at: Timestamp,
}

impl Bundle {
    /// The bundle in this directory, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The OCI runtime spec.
    pub fn spec_path(&self) -> PathBuf {
        self.dir.join("config.json")
    }

    /// What the spec cannot say.
    pub fn shim_config_path(&self) -> PathBuf {
        self.dir.join("shim.json")
    }

    /// Where the shim listens. Connect with [`crate::client::connect`]: the path
    /// may be longer than a socket address holds.
    pub fn socket_path(&self) -> PathBuf {
        self.dir.join(SOCKET_NAME)
    }

    /// Where the shim complains.
    pub fn shim_log_path(&self) -> PathBuf {
        self.dir.join("shim.log")
    }

    /// How the container ended.
    pub fn exit_path(&self) -> PathBuf {
        self.dir.join("exit.json")
    }

    /// Writes both configuration files and forgets an earlier run's exit. `spec`
    /// is any model of the OCI runtime spec.
    pub fn write(&self, spec: &impl Serialize, config: &ShimConfig) -> Result<(), BundleError> {
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))
            .map_err(|source| BundleError::Io { path: self.dir.clone(), source })?;
        match fs::remove_file(self.exit_path()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(BundleError::Io { path: self.exit_path(), source });
            }
            _ => {}
        }
        write_json(&self.spec_path(), spec)?;
        write_json(&self.shim_config_path(), config)
    }

    /// Reads the OCI spec.
    pub(crate) fn read_spec(&self) -> Result<Spec, BundleError> {
        read_json(&self.spec_path())
    }

    /// Reads the shim's configuration.
    pub fn read_shim_config(&self) -> Result<ShimConfig, BundleError> {
        read_json(&self.shim_config_path())
    }

    /// How the container ended; `None` if it has not, or its shim was killed.
    pub fn read_exit(&self) -> Result<Option<ExitRecord>, BundleError> {
        match read_json(&self.exit_path()) {
            Ok(record) => Ok(Some(record)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the exit record: whole or not at all.
    pub fn write_exit(&self, record: &ExitRecord) -> Result<(), BundleError> {
        write_json(&self.exit_path(), record)
    }
}

/// Relative to the bundle.
pub const SOCKET_NAME: &str = "shim.sock";

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), BundleError> {
    let text = serde_json::to_vec(value)
        .map_err(|source| BundleError::Damaged { path: path.to_owned(), source })?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let written =
        write_private(temporary.as_ref(), &text).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // A half-written file is of no use to anybody.
        let _ = fs::remove_file(&temporary);
        BundleError::Io { path: path.to_owned(), source }
    })
}

/// Nobody but root can read it at any moment, whatever was there before.
fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = match options.open(path) {
        // Left by a crash.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        other => other,
    };
    file?.write_all(text)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, BundleError> {
    let text =
        fs::read(path).map_err(|source| BundleError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&text)
        .map_err(|source| BundleError::Damaged { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_appears_whole_and_is_forgotten_by_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = Bundle::new(dir.path());
        assert_eq!(bundle.read_exit().unwrap(), None);
        let record = ExitRecord {
            exit_code: 137,
            signal: Some(9),
            oom_killed: true,
            error: None,
            started_at: Some(Timestamp::from_seconds(5)),
            finished_at: Timestamp::from_seconds(7),
        };
        bundle.write_exit(&record).unwrap();
        assert_eq!(bundle.read_exit().unwrap(), Some(record));
        let config = ShimConfig {
            id: "x".into(),
            root: RootFs::Spec,
            open_stdin: false,
            stdin_once: false,
            log: None,
            seccomp_program: None,
            user_text: None,
            group_texts: vec![],
            network_from_engine: false,
            lenient: Lenient::default(),
        };
        // As a careless crash leaves it.
        fs::write(dir.path().join("config.json.new"), "{").unwrap();
        bundle.write(&serde_json::json!({}), &config).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&bundle.spec_path()), 0o600);
        assert_eq!(mode(&bundle.shim_config_path()), 0o600);
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(bundle.read_exit().unwrap(), None);
        assert_eq!(bundle.read_shim_config().unwrap(), config);
    }

    #[test]
    fn damage_is_told_from_absence() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = Bundle::new(dir.path());
        fs::write(bundle.exit_path(), b"{\"exit_code\":").unwrap();
        assert_eq!(bundle.read_exit().unwrap_err().kind(), Kind::Internal);
        assert_eq!(bundle.read_spec().unwrap_err().kind(), Kind::NotFound);
    }
}
