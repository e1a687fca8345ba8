//! What callers are told about containers and execs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_model::{ContainerId, Digest, ExecId, NetworkId, Timestamp};

use super::{ContainerConfig, EndpointOptions, HostConfig, Mount, Port};

/// Where a container is in its life, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Made, never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// It has exited and will be started again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It has exited.
    Exited,
    /// It could not be removed.
    Dead,
}

impl ContainerStatus {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            ContainerStatus::Created => "created",
            ContainerStatus::Running => "running",
            ContainerStatus::Paused => "paused",
            ContainerStatus::Restarting => "restarting",
            ContainerStatus::Removing => "removing",
            ContainerStatus::Exited => "exited",
            ContainerStatus::Dead => "dead",
        }
    }
}

/// The `State` of an inspected container.
#[derive(Debug, Clone)]
pub struct ContainerState {
    /// Where it is in its life.
    pub status: ContainerStatus,
    /// Host process id, 0 if it does not run.
    pub pid: u32,
    /// Exit code of the last run, 0 before it.
    pub exit_code: i64,
    /// Why it could not be started; empty otherwise.
    pub error: String,
    /// Whether the kernel killed one of its processes for memory in the last run.
    pub oom_killed: bool,
    /// Begin of the last run.
    pub started_at: Option<Timestamp>,
    /// End of the last run.
    pub finished_at: Option<Timestamp>,
    /// Health, where there is a check.
    pub health: Option<HealthView>,
}

impl ContainerState {
    /// Docker's `Running`: also while paused or restarting.
    pub fn is_running(&self) -> bool {
        matches!(
            self.status,
            ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting
        )
    }
}

/// Health of a container that has a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthView {
    /// What the last probes say.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last probes, oldest first, at most five.
    pub log: Vec<HealthProbe>,
}

/// What the last probes of a health check say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HealthStatus {
    /// No check.
    #[default]
    None,
    /// Not known yet.
    Starting,
    /// The last probe was well.
    Healthy,
    /// Too many failures in a row.
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::None => "none",
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// One probe of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthProbe {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// 0 is well.
    pub exit_code: i64,
    /// What it wrote, cut to 4 KiB.
    pub output: String,
}

/// Everything about one container (`inspect`).
#[derive(Debug, Clone)]
pub struct ContainerView {
    /// Id.
    pub id: ContainerId,
    /// Name without the slash.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Program of the process.
    pub path: String,
    /// Arguments of the process.
    pub args: Vec<String>,
    /// State.
    pub state: ContainerState,
    /// Image id; `None` for given layers.
    pub image_id: Option<Digest>,
    /// Configuration, merged with the image's. `hostname` is always set.
    pub config: ContainerConfig,
    /// Host configuration.
    pub host: HostConfig,
    /// How often the restart policy has started it again.
    pub restart_count: u32,
    /// Mounts as they are.
    pub mounts: Vec<MountPoint>,
    /// Networks by name.
    pub networks: BTreeMap<String, EndpointView>,
    /// Published ports by container port; an exposed one that is not published has none.
    pub ports: BTreeMap<Port, Vec<BoundPort>>,
    /// `/proc/…/ns/net` of the container; `None` if it does not run.
    pub sandbox_key: Option<PathBuf>,
    /// File behind `/etc/resolv.conf`.
    pub resolv_conf_path: PathBuf,
    /// File behind `/etc/hostname`.
    pub hostname_path: PathBuf,
    /// File behind `/etc/hosts`.
    pub hosts_path: PathBuf,
    /// Log file, where there is one.
    pub log_path: Option<PathBuf>,
    /// Overlay directories: lower (top first), upper, work.
    pub lower_dirs: Vec<PathBuf>,
    /// The writable layer.
    pub upper_dir: PathBuf,
    /// The kernel's own directory.
    pub work_dir: PathBuf,
    /// Running execs.
    pub exec_ids: Vec<ExecId>,
}

/// A mount of a container as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// What was asked for; anonymous volumes have their name filled in.
    pub mount: Mount,
    /// Path on the host; empty for tmpfs.
    pub source: PathBuf,
    /// Whether it is an anonymous volume made for this container.
    pub anonymous: bool,
    /// Whether the mount comes from the list of `--mount`, not from `-v`.
    pub from_mounts: bool,
}

/// How a container is joined to one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointView {
    /// Network; `None` before the first start where it was never resolved.
    pub network_id: Option<NetworkId>,
    /// Id of the endpoint; empty if it is not joined.
    pub endpoint_id: String,
    /// Address; `None` if it is not joined.
    pub ip_address: Option<Ipv4Addr>,
    /// Length of the network's prefix in bits.
    pub prefix_len: u8,
    /// The way out.
    pub gateway: Option<Ipv4Addr>,
    /// Hardware address; empty if it is not joined.
    pub mac_address: String,
    /// Names it answers to on this network.
    pub dns_names: Vec<String>,
    /// What was asked for.
    pub options: EndpointOptions,
}

/// A published port as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Address it listens on.
    pub host_ip: IpAddr,
    /// Port it listens on.
    pub host_port: u16,
}

/// One line of a list.
#[derive(Debug, Clone)]
pub struct ContainerSummary {
    /// Id.
    pub id: ContainerId,
    /// Name without the slash.
    pub name: String,
    /// Image as the creator named it.
    pub image: String,
    /// Image id; `None` for given layers.
    pub image_id: Option<Digest>,
    /// Program and arguments in one line.
    pub command: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it is in its life.
    pub status: ContainerStatus,
    /// Docker's sentence about that (`Up 5 minutes (healthy)`).
    pub status_text: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Published and exposed ports.
    pub ports: BTreeMap<Port, Vec<BoundPort>>,
    /// Network mode as text.
    pub network_mode: String,
    /// Networks by name.
    pub networks: BTreeMap<String, EndpointView>,
    /// Mounts.
    pub mounts: Vec<MountPoint>,
}

/// Everything about one exec.
#[derive(Debug, Clone)]
pub struct ExecView {
    /// Id.
    pub id: ExecId,
    /// Its container.
    pub container_id: ContainerId,
    /// Whether it runs.
    pub running: bool,
    /// Exit code, once it has ended.
    pub exit_code: Option<i64>,
    /// Host process id, 0 before the start.
    pub pid: u32,
    /// Program.
    pub entrypoint: String,
    /// Arguments.
    pub arguments: Vec<String>,
    /// User it was made with.
    pub user: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it has all capabilities.
    pub privileged: bool,
    /// Whether stdin is open.
    pub open_stdin: bool,
    /// Whether its output is sent.
    pub open_stdout: bool,
    /// Whether its errors are sent.
    pub open_stderr: bool,
}

/// What a container uses at one moment.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// Processor time used, all of it.
    pub cpu_total: Duration,
    /// … in the kernel.
    pub cpu_kernel: Duration,
    /// … in programs.
    pub cpu_user: Duration,
    /// Per processor; empty where the kernel does not say (cgroup v2).
    pub cpu_per_processor: Vec<Duration>,
    /// Processor time used by the whole node.
    pub cpu_system: Duration,
    /// Processors online.
    pub online_cpus: u32,
    /// Periods, throttled periods and throttled time.
    pub throttling: (u64, u64, Duration),
    /// Memory used in bytes.
    pub memory_usage_bytes: u64,
    /// Most memory used so far in bytes, where the kernel says it.
    pub memory_max_usage_bytes: Option<u64>,
    /// Limit in bytes; the node's memory where there is none.
    pub memory_limit_bytes: u64,
    /// Lines of `memory.stat`.
    pub memory_stat: BTreeMap<String, u64>,
    /// Number of times the limit was reached.
    pub memory_failures: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Their limit; 0 is none.
    pub pids_limit: u64,
    /// Bytes moved per device: (major, minor, operation, bytes).
    pub block_bytes: Vec<(u64, u64, String, u64)>,
    /// Counters per interface.
    pub networks: BTreeMap<String, NetworkCounters>,
}

/// Counters of one network interface, from the container's side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of /proc/net/dev")]
pub struct NetworkCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// The processes of a container as `ps` shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopTable {
    /// Column heads.
    pub titles: Vec<String>,
    /// One row per process.
    pub processes: Vec<Vec<String>>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name; 64 hexadecimal characters for an anonymous one.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// User labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Driver options.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Whether it was made without a name.
    #[serde(default)]
    pub anonymous: bool,
    /// Its directory on the host.
    pub mountpoint: PathBuf,
}

/// Disk space a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Bytes it has written itself.
    pub written_bytes: u64,
    /// Those and the bytes of its image.
    pub total_bytes: u64,
}

/// How many containers there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerCounts {
    /// Running ones.
    pub running: usize,
    /// Paused ones.
    pub paused: usize,
    /// All others.
    pub stopped: usize,
}
