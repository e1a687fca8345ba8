//! The container a service's task runs.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{ConfigRef, Mount, SecretRef};

/// The container a service's task runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The image, as a reference (`redis:7`, `host:8003/spider@sha256:…`).
    pub image: String,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// Replaces the image's entry point; empty: the image's.
    pub command: Vec<String>,
    /// Replaces the image's command; empty: the image's.
    pub args: Vec<String>,
    /// Environment, `KEY=value`.
    pub env: Vec<String>,
    /// Working directory; empty: the image's.
    pub dir: String,
    /// `user[:group]`; empty: the image's.
    pub user: String,
    /// Further groups.
    pub groups: Vec<String>,
    /// Host name; may hold templates (`{{.Task.Slot}}`).
    pub hostname: String,
    /// A terminal instead of pipes.
    pub tty: bool,
    /// Keep stdin open.
    pub open_stdin: bool,
    /// A read-only root file system.
    pub read_only: bool,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// The signal that stops it; empty: the image's, else SIGTERM.
    pub stop_signal: String,
    /// Time between that signal and SIGKILL.
    pub stop_grace_period: Option<Duration>,
    /// Credentials for the pull, as the client's `X-Registry-Auth` had them
    /// (base64 of JSON). Never shown.
    pub registry_auth: String,
    /// Health check; `None`: the image's.
    pub health_check: Option<HealthConfig>,
    /// Lines for /etc/hosts: `address name …`.
    pub hosts: Vec<String>,
    /// Name resolution.
    pub dns: Option<DnsConfig>,
    /// Secrets.
    pub secrets: Vec<SecretRef>,
    /// Configs.
    pub configs: Vec<ConfigRef>,
    /// Isolation technology (Windows); empty or `default` here.
    pub isolation: String,
    /// Run an init process as PID 1.
    pub init: Option<bool>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Resource limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// Processes at most; 0: no limit.
    pub pids_limit: i64,
    /// How gladly the kernel ends it when memory runs out, −1000 to 1000.
    pub oom_score_adj: i64,
    /// Security settings.
    pub privileges: Option<Privileges>,
}

impl ContainerSpec {
    /// Time between the stop signal and SIGKILL when the user did not say.
    pub const DEFAULT_STOP_GRACE_PERIOD: Duration = Duration::from_secs(10);

    /// Time between the stop signal and SIGKILL.
    pub fn stop_grace_period(&self) -> Duration {
        self.stop_grace_period.unwrap_or(Self::DEFAULT_STOP_GRACE_PERIOD)
    }
}

/// A health check. Zero and empty mean: as the image says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HealthConfig {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Duration,
    /// Time one check may take.
    pub timeout: Duration,
    /// Failures in a row until unhealthy.
    pub retries: u32,
    /// Time in which failures do not count.
    pub start_period: Duration,
    /// Time between two checks within the start period.
    pub start_interval: Duration,
}

/// Name resolution of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DnsConfig {
    /// Servers.
    pub nameservers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// A resource limit of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `nproc`, …
    pub name: String,
    /// What applies.
    pub soft: i64,
    /// How far the process may raise it.
    pub hard: i64,
}

/// Security settings of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Privileges {
    /// Windows credentials.
    pub credential_spec: Option<CredentialSpec>,
    /// SELinux labels.
    pub selinux: Option<SELinuxContext>,
    /// System call filter.
    pub seccomp: Option<SeccompMode>,
    /// AppArmor profile.
    pub apparmor: Option<AppArmorMode>,
    /// Processes may never gain privileges.
    pub no_new_privileges: bool,
}

/// Where Windows credentials come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CredentialSpec {
    /// A config of the swarm.
    Config(String),
    /// A file of the node.
    File(String),
    /// The node's registry.
    Registry(String),
}

/// SELinux labels of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SELinuxContext {
    /// No label.
    pub disable: bool,
    /// User label.
    pub user: String,
    /// Role label.
    pub role: String,
    /// Type label.
    pub kind: String,
    /// Level label.
    pub level: String,
}

/// The system call filter of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompMode {
    /// The engine's own.
    Default,
    /// None.
    Unconfined,
    /// This profile (JSON).
    Custom(Vec<u8>),
}

/// The AppArmor profile of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppArmorMode {
    /// The engine's own.
    Default,
    /// None.
    Disabled,
}
