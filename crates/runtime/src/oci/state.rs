//! What is remembered of a container, and `state`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use shoal_sys::cgroup::{Cgroup, Layout};

use super::{
    Global, SPEC_VERSION,
    arguments::{Arguments, invalid},
};
use crate::{
    making::failed,
    protocol::{Failure, Reason},
};

/// `state.json`: written once, by `create`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) pid: i32,
    /// Tells the process from a later one with its number: clock ticks since boot.
    pub(super) pid_start: u64,
    pub(super) bundle: PathBuf,
    pub(super) cgroup: Option<PathBuf>,
    /// See [`crate::plan::Confinement`].
    #[serde(default)]
    pub(super) new_keyring: bool,
    #[serde(default)]
    pub(super) annotations: serde_json::Value,
}

/// Where a container stands, in the specification's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Running,
    Stopped,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// A container's directory.
pub(super) fn dir(global: &Global, id: &str) -> Result<PathBuf, Failure> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_+-.".contains(letter);
    if id.is_empty() || id.starts_with('.') || !id.chars().all(allowed) {
        return Err(invalid(format!("{id:?} is no container id")));
    }
    Ok(global.root.join(id))
}

/// Where the start is waited for.
pub(super) fn gate(dir: &Path) -> PathBuf {
    dir.join("start.sock")
}

/// Writes the record.
pub(super) fn write(dir: &Path, record: &Record) -> Result<(), Failure> {
    let text = serde_json::to_vec(record).map_err(failed("state"))?;
    let temporary = dir.join("state.json.new");
    fs::write(&temporary, text)
        .and_then(|()| fs::rename(&temporary, dir.join("state.json")))
        .map_err(failed("state"))
}

/// Reads the record of a container.
pub(super) fn read(global: &Global, id: &str) -> Result<(PathBuf, Record), Failure> {
    let dir = dir(global, id)?;
    let text = fs::read(dir.join("state.json")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Reason::NotFound, format!("container {id} does not exist"))
        }
        _ => failed(format!("container {id}"))(error),
    })?;
    let record = serde_json::from_slice(&text).map_err(failed(format!("container {id}")))?;
    Ok((dir, record))
}

impl Record {
    /// Where it stands now.
    pub(super) fn status(&self, dir: &Path) -> Status {
        match process_start(self.pid) {
            Some((start, zombie)) if start == self.pid_start && !zombie => {
                if gate(dir).exists() {
                    Status::Created
                } else {
                    Status::Running
                }
            }
            _ => Status::Stopped,
        }
    }

    pub(super) fn cgroup(&self) -> Result<Option<Cgroup>, Failure> {
        let Some(path) = &self.cgroup else { return Ok(None) };
        let layout = Layout::detect().map_err(failed("control groups"))?;
        Cgroup::at(&layout, path).map(Some).map_err(failed("control group"))
    }
}

/// When a process was started, and whether it is only waiting to be collected
/// (proc_pid_stat(5), fields 22 and 3).
pub(super) fn process_start(pid: i32) -> Option<(u64, bool)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let (_, after) = stat.rsplit_once(')')?;
    let mut parts = after.split_whitespace();
    let state = parts.next()?;
    Some((parts.nth(18)?.parse().ok()?, matches!(state, "Z" | "X")))
}

pub(super) fn run(global: &Global, arguments: &mut Arguments) -> Result<(), Failure> {
    let id = arguments.word("container id")?;
    arguments.end()?;
    let (dir, record) = read(global, &id)?;
    let status = record.status(&dir);
    let mut answer = serde_json::json!({
        "ociVersion": SPEC_VERSION,
        "id": record.id,
        "status": status.word(),
        "bundle": record.bundle,
    });
    if status != Status::Stopped {
        answer["pid"] = record.pid.into();
    }
    if !record.annotations.is_null() {
        answer["annotations"] = record.annotations.clone();
    }
    super::say(&format!("{answer:#}\n"))
}
