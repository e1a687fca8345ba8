//! What a caller may say to each verb.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shoal_model::{ContainerId, Signal, Timestamp};

use super::{ContainerConfig, HostConfig, NamePattern, Resources, RestartPolicy};

/// A container to be made.
#[derive(Debug, Clone, Default)]
pub struct CreateContainer {
    /// Name without the slash; `None` lets the engine find one.
    pub name: Option<String>,
    /// What runs.
    pub config: ContainerConfig,
    /// How it runs here.
    pub host: HostConfig,
    /// Networks by name or id. The one of `host.network_mode` need not be here;
    /// options for it may be.
    pub networks: BTreeMap<String, EndpointOptions>,
    /// Where its root file system comes from.
    pub rootfs: RootfsSource,
    /// Keep it out of lists and events: a step of a build.
    pub hidden: bool,
}

/// Where a container's root file system comes from.
#[derive(Debug, Clone, Default)]
pub enum RootfsSource {
    /// The layers of `config.image`, and a fresh top layer.
    #[default]
    Image,
    /// Given directories; they are the caller's and stay after the removal.
    /// `config` is taken as it is: there is no image to inherit from.
    Layers {
        /// Read-only layers, top first.
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// An empty directory on the file system of `upper`, for the kernel.
        work: PathBuf,
    },
}

/// How a container joins one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointOptions {
    /// Further names on this network.
    pub aliases: Vec<String>,
    /// A fixed IPv4 address.
    pub ipv4_address: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ipv6_address: Option<Ipv6Addr>,
    /// A fixed hardware address, as `02:42:ac:11:00:02`.
    pub mac_address: Option<String>,
}

/// A container that was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// What the caller should be told.
    pub warnings: Vec<String>,
}

/// How a container is stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopOptions {
    /// Instead of the container's own stop signal.
    pub signal: Option<Signal>,
    /// Seconds until SIGKILL, instead of the container's own; -1 waits for ever.
    pub timeout_s: Option<i64>,
}

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it if it runs.
    pub force: bool,
    /// Remove its anonymous volumes, too.
    pub volumes: bool,
}

/// What `wait` waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// That it does not run (at once if it does not).
    #[default]
    NotRunning,
    /// The next exit, also of one not started yet.
    NextExit,
    /// That it is removed.
    Removed,
}

/// How a wait ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// Exit code of the last run.
    pub exit_code: i64,
    /// Why it could not be removed or started, if so.
    pub error: Option<String>,
}

/// Which lines of a log, and how.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Which streams.
    pub streams: LogStreams,
    /// Go on with new lines until the container stops.
    pub follow: bool,
    /// How many lines before the end to begin with; `None` is all.
    pub tail: Option<usize>,
    /// Lines of this time and later.
    pub since: Option<Timestamp>,
    /// Lines of this time and before.
    pub until: Option<Timestamp>,
}

/// Which output streams are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStreams {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Default for LogStreams {
    fn default() -> Self {
        LogStreams { stdout: true, stderr: true }
    }
}

/// How a client attaches to a container's process.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Send input.
    pub stdin: bool,
    /// Receive output.
    pub stdout: bool,
    /// Receive errors.
    pub stderr: bool,
    /// Receive what was written before, from the log.
    pub logs: bool,
    /// Stay for what comes; with `logs` alone only the past is sent.
    pub stream: bool,
    /// Bytes that end the attachment, not the process; `None` is ctrl-p ctrl-q
    /// with a terminal.
    pub detach_keys: Option<Vec<u8>>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub columns: u16,
}

/// A further process for a running container.
#[derive(Debug, Clone, Default)]
pub struct CreateExec {
    /// Program and arguments.
    pub cmd: Vec<String>,
    /// `KEY=VALUE`, beside the container's own.
    pub env: Vec<String>,
    /// `user[:group]`; empty is the container's.
    pub user: String,
    /// Working directory; empty is the container's.
    pub workdir: String,
    /// Give it a terminal.
    pub tty: bool,
    /// Give it a stdin.
    pub attach_stdin: bool,
    /// Send its output.
    pub attach_stdout: bool,
    /// Send its errors.
    pub attach_stderr: bool,
    /// All capabilities.
    pub privileged: bool,
    /// Bytes that end the attachment; `None` is ctrl-p ctrl-q with a terminal.
    pub detach_keys: Option<Vec<u8>>,
    /// Terminal size to begin with.
    pub console_size: Option<TerminalSize>,
}

/// How an exec is started.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartExec {
    /// Do not attach to it.
    pub detach: bool,
    /// Whether the caller expects a terminal; must be what the exec was made with.
    pub tty: bool,
    /// Terminal size to begin with.
    pub console_size: Option<TerminalSize>,
}

/// Which containers a list has. Empty sets match everything.
///
/// Within one field any value may match, between fields all must.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Those that do not run, too. A `status` or `exited` filter implies it.
    pub all: bool,
    /// At most this many, newest first (implies `all`).
    pub limit: Option<usize>,
    /// Begins of ids.
    pub id: BTreeSet<String>,
    /// What is in names.
    pub name: Vec<NamePattern>,
    /// `key` or `key=value`; every one must match.
    pub label: BTreeSet<String>,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub status: BTreeSet<String>,
    /// Exit codes of ended containers.
    pub exited: BTreeSet<i64>,
    /// Images by name or id; those made from an image that has it as a parent match, too,
    /// where the parent is known.
    pub ancestor: BTreeSet<String>,
    /// Volumes by name, or mount points.
    pub volume: BTreeSet<String>,
    /// Networks by name or id.
    pub network: BTreeSet<String>,
    /// Ports of the host (`80`, `80/tcp`, `8000-8010/tcp`).
    pub publish: BTreeSet<String>,
    /// Ports of the container in the same forms; either of the two filters may match.
    pub expose: BTreeSet<String>,
    /// `starting`, `healthy`, `unhealthy`, `none`.
    pub health: BTreeSet<String>,
    /// Made before this container (name or id).
    pub before: Option<String>,
    /// Made after this container (name or id).
    pub since: Option<String>,
    /// `true` or `false`: whether it belongs to a swarm task.
    pub is_task: Option<bool>,
}

/// What `prune` removes.
#[derive(Debug, Clone, Default)]
pub struct PruneFilter {
    /// Only what was made before.
    pub until: Option<Timestamp>,
    /// `key` or `key=value`; every one must match.
    pub label: BTreeSet<String>,
    /// `key` or `key=value`; none may match.
    pub label_not: BTreeSet<String>,
    /// Volumes: also named ones, not only anonymous ones.
    pub all: bool,
}

/// Changes to a container; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct UpdateContainer {
    /// Limits; only fields that are set are changed.
    pub resources: Resources,
    /// Restart policy.
    pub restart_policy: Option<RestartPolicy>,
}

/// A container that was changed.
#[derive(Debug, Clone, Default)]
pub struct Updated {
    /// What the caller should be told.
    pub warnings: Vec<String>,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids of containers, names of volumes.
    pub removed: Vec<String>,
    /// Bytes of disk space that came free.
    pub reclaimed_bytes: u64,
}

/// A volume to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateVolume {
    /// Its name; `None` is an anonymous one.
    pub name: Option<String>,
    /// Driver; empty is `local`, the only one there is.
    pub driver: String,
    /// User labels.
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// Which volumes a list has. Empty sets match everything.
#[derive(Debug, Clone, Default)]
pub struct VolumeFilter {
    /// What is in names.
    pub name: Vec<NamePattern>,
    /// Drivers.
    pub driver: BTreeSet<String>,
    /// `key` or `key=value`; every one must match.
    pub label: BTreeSet<String>,
    /// Whether no container uses it.
    pub dangling: Option<bool>,
}
