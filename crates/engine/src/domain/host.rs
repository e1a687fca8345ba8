//! The machine's half of a container's configuration: limits, mounts, rights.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    CgroupnsMode, IpcMode, LogConfig, Mount, NetworkMode, PidMode, Port, PortBinding, UtsMode,
};

/// How a container runs on this machine (Docker's `HostConfig`).
///
/// Only what the engine supports has a field; a caller that reads another form
/// must refuse the rest by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// First network; further ones come with the create call.
    pub network_mode: NetworkMode,
    /// Ports to publish.
    pub port_bindings: BTreeMap<Port, Vec<PortBinding>>,
    /// Publish every exposed port on a free host port.
    pub publish_all_ports: bool,
    /// What happens after an exit.
    pub restart_policy: RestartPolicy,
    /// Remove the container once it has exited (`--rm`).
    pub auto_remove: bool,
    /// `-v` texts as given: see [`Mount::parse_bind`].
    pub binds: Vec<String>,
    /// `--tmpfs` as given, options by path: see [`Mount::parse_tmpfs`].
    pub tmpfs: BTreeMap<String, String>,
    /// `--mount`.
    pub mounts: Vec<Mount>,
    /// Limits.
    pub resources: Resources,
    /// Capabilities added to the default ones (`ALL`, `NET_ADMIN`, `CAP_NET_ADMIN`).
    pub cap_add: Vec<String>,
    /// Capabilities taken from the default ones.
    pub cap_drop: Vec<String>,
    /// All capabilities, all devices, no seccomp, writable `/sys` and cgroups.
    pub privileged: bool,
    /// System call filter.
    pub seccomp: SeccompChoice,
    /// `--security-opt no-new-privileges`.
    pub no_new_privileges: bool,
    /// `--security-opt` texts as given, for telling back.
    pub security_opt: Vec<String>,
    /// Root file system read-only.
    pub readonly_rootfs: bool,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Size of `/dev/shm` in bytes; `None` is 64 MiB.
    pub shm_size_bytes: Option<u64>,
    /// Name servers instead of the node's.
    pub dns: Vec<String>,
    /// Options of `resolv.conf`.
    pub dns_options: Vec<String>,
    /// Search domains instead of the node's; `.` alone is none.
    pub dns_search: Vec<String>,
    /// `name:address` lines of `/etc/hosts`.
    pub extra_hosts: Vec<String>,
    /// Additional groups, names or numbers.
    pub group_add: Vec<String>,
    /// IPC namespace.
    pub ipc_mode: IpcMode,
    /// PID namespace.
    pub pid_mode: PidMode,
    /// UTS namespace.
    pub uts_mode: UtsMode,
    /// cgroup namespace.
    pub cgroupns_mode: CgroupnsMode,
    /// What becomes of the output.
    pub log: LogConfig,
    /// -1000..=1000; how eagerly the kernel kills it when memory is short.
    pub oom_score_adj: i32,
    /// `/proc` paths hidden; `None` is the default list.
    pub masked_paths: Option<Vec<String>>,
    /// `/proc` paths made read-only; `None` is the default list.
    pub readonly_paths: Option<Vec<String>>,
    /// Terminal size to begin with.
    pub console_size: Option<super::TerminalSize>,
    /// Free notes, told back.
    pub annotations: BTreeMap<String, String>,
}

/// Limits of a container; zero or `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory and swap together in bytes; -1 is unlimited swap.
    pub memory_swap_bytes: Option<i64>,
    /// Memory the kernel takes back first when it is short, in bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// 0..=100, cgroup v1 only.
    pub memory_swappiness: Option<u64>,
    /// Processor time in 10⁻⁹ processors.
    pub nano_cpus: Option<u64>,
    /// Relative weight, 2..=262144; 1024 is the default.
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time per period; not with `nano_cpus`.
    pub cpu_quota_us: Option<i64>,
    /// Length of that period in microseconds; not with `nano_cpus`.
    pub cpu_period_us: Option<u64>,
    /// Processors it may use (`0-2,4`); empty is all.
    pub cpuset_cpus: String,
    /// Memory nodes it may use; empty is all.
    pub cpuset_mems: String,
    /// Number of processes; `None` is no limit, and in an update the limit there is; below 0
    /// there is none any more.
    pub pids_limit: Option<i64>,
    /// Resource limits of the process.
    pub ulimits: Vec<Ulimit>,
    /// Devices of the host made visible.
    pub devices: Vec<DeviceMapping>,
    /// Device rules as `c 1:3 rwm`.
    pub device_cgroup_rules: Vec<String>,
    /// Parent of the container's cgroup, instead of the engine's.
    pub cgroup_parent: Option<String>,
}

/// `/proc` and `/sys` paths that tell or change things of the whole machine; Docker's list.
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// `/proc` paths nobody may write to; Docker's list.
const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl HostConfig {
    /// Says what follows from what was asked for, as Docker does when a container is made: its
    /// swap, its view of control groups (its own on version 2), and the paths that are hidden from
    /// it or kept from its pen.
    pub(crate) fn say_defaults(&mut self, cgroup_v2: bool) {
        self.resources.say_swap();
        self.cgroupns_mode = match self.cgroupns_mode.is_private(cgroup_v2) {
            true => CgroupnsMode::Private,
            false => CgroupnsMode::Host,
        };
        if self.privileged {
            return;
        }
        let owned = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        self.masked_paths.get_or_insert_with(|| owned(&MASKED_PATHS));
        self.readonly_paths.get_or_insert_with(|| owned(&READONLY_PATHS));
    }
}

impl Resources {
    /// Says how much memory and swap there is together where only the memory is limited: twice
    /// that, as in Docker.
    pub(crate) fn say_swap(&mut self) {
        if let (Some(memory), None) = (self.memory_bytes, self.memory_swap_bytes) {
            let twice = i64::try_from(memory.saturating_mul(2)).unwrap_or(i64::MAX);
            self.memory_swap_bytes = Some(twice);
        }
    }
}

/// One resource limit of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Name in lower case without `RLIMIT_` (`nofile`).
    pub name: String,
    /// Limit the process sees; -1 is none.
    pub soft: i64,
    /// Limit up to which it may raise that; -1 is none.
    pub hard: i64,
}

/// A device of the host inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMapping {
    /// Device file, or a directory of such, on the host.
    pub path_on_host: PathBuf,
    /// Its path in the container.
    pub path_in_container: PathBuf,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompChoice {
    /// The engine's allow list, which is Docker's.
    #[default]
    Default,
    /// All of them.
    Unconfined,
    /// A profile of the caller in Docker's JSON form.
    Profile(String),
}

/// What happens after a container's process has exited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Started again after an exit code other than 0.
    OnFailure {
        /// How often at most; `None` is without end.
        max_retries: Option<u32>,
    },
    /// Started again, after a restart of the daemon even if it was stopped by hand.
    Always,
    /// Started again unless it was stopped by hand.
    UnlessStopped,
}

impl RestartPolicy {
    /// Docker's word for it; empty for none given is written `no`.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::No => "no",
            RestartPolicy::OnFailure { .. } => "on-failure",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
        }
    }
}
