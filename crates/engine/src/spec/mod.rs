//! A container as the runtime wants it: an OCI document and the shim's settings.
//!
//! [`build`] is a pure function of the container's record and of [`Facts`] that
//! somebody else has found out. It reads nothing, writes nothing, and gives the
//! same document for the same input; the snapshots under `snapshots/` are its
//! tests. It must not know how a container is started.

mod capabilities;
mod mounts;
mod process;
mod resources;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceType, LinuxNamespace, LinuxNamespaceType, Root, Spec,
};
use shoal_runtime::bundle::{Lenient, LogConfig, RootFs, ShimConfig};

use crate::config::OpenFiles;
use crate::container::record::Record;
use crate::domain::{IpcMode, LogDriver, PidMode, UtsMode};

pub(crate) use capabilities::{CapabilityError, effective as effective_capabilities};
pub(crate) use process::{environment, set_variable};
pub(crate) use resources::limits;

/// Whether `name` is a resource limit of a process, in lower case without `RLIMIT_`.
pub(crate) fn is_ulimit(name: &str) -> bool {
    process::rlimit_type(name).is_some()
}

/// Whether `text` is a device rule like `c 1:3 rwm`.
pub(crate) fn is_device_rule(text: &str) -> bool {
    resources::parse_rule(text).is_some()
}

/// See [`sysctls`].
const OPEN_SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// The OCI version the document follows.
const OCI_VERSION: &str = "1.2.0";

/// What was found out about the machine and the container's neighbours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The container's cgroup, relative to each hierarchy's root.
    pub(crate) cgroup: PathBuf,
    /// Whether the machine has cgroup v2 only.
    pub(crate) cgroup_v2: bool,
    /// Its place in the networks.
    pub(crate) network: NetworkFact,
    /// PID namespace of another container to join.
    pub(crate) pid_namespace: Option<PathBuf>,
    /// Files behind `/etc/resolv.conf`, `/etc/hostname` and `/etc/hosts`.
    pub(crate) etc: Option<EtcFiles>,
    /// Devices of the host that were asked for (all of them for a privileged container).
    pub(crate) devices: Vec<HostDevice>,
    /// Compiled system call filter; `None` for unconfined.
    pub(crate) seccomp: Option<PathBuf>,
    /// The container's log file.
    pub(crate) log: PathBuf,
    /// A layer above those of the image.
    pub(crate) common_layer: PathBuf,
    /// Open files of a container that has no limit of its own; `None` is the daemon's limit.
    pub(crate) open_files: Option<OpenFiles>,
}

/// A container's place in the networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum NetworkFact {
    /// A namespace that is handed to the shim.
    #[default]
    Given,
    /// The node's own.
    Host,
    /// That of another container.
    Path(PathBuf),
}

/// Files the engine writes for a container.
#[derive(Debug, Clone)]
pub(crate) struct EtcFiles {
    /// `/etc/resolv.conf`.
    pub(crate) resolv_conf: PathBuf,
    /// `/etc/hostname`.
    pub(crate) hostname: PathBuf,
    /// `/etc/hosts`.
    pub(crate) hosts: PathBuf,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostDevice {
    /// Its path in the container.
    pub(crate) path: PathBuf,
    /// Block or character.
    pub(crate) block: bool,
    /// Major number.
    pub(crate) major: u32,
    /// Minor number.
    pub(crate) minor: u32,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Some of `r`, `w` and `m`.
    pub(crate) access: String,
}

/// The document and the shim's settings for one start.
pub(crate) fn build(record: &Record, facts: &Facts) -> Result<(Spec, ShimConfig), CapabilityError> {
    let host = &record.host;
    let mut spec = Spec::default();
    spec.set_version(OCI_VERSION.into());
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs")).set_readonly(Some(host.readonly_rootfs));
    spec.set_root(Some(root));
    spec.set_mounts(Some(mounts::mounts(record, facts)));
    spec.set_process(Some(process::process(record, facts)?));
    let own_names = host.uts_mode == UtsMode::Private;
    spec.set_hostname(own_names.then(|| record.config.hostname.clone()).flatten());
    let domainname = &record.config.domainname;
    spec.set_domainname((own_names && !domainname.is_empty()).then(|| domainname.clone()));
    spec.set_linux(Some(linux(record, facts)));
    Ok((spec, shim_config(record, facts)))
}

fn linux(record: &Record, facts: &Facts) -> Linux {
    let host = &record.host;
    let mut linux = Linux::default();
    linux.set_namespaces(Some(namespaces(record, facts)));
    linux.set_cgroups_path(Some(facts.cgroup.clone()));
    linux.set_resources(Some(resources::resources(record, facts)));
    linux.set_devices(Some(facts.devices.iter().map(device).collect()));
    linux.set_sysctl(Some(sysctls(record, facts)));
    let paths = |chosen: &Option<Vec<String>>| match host.privileged {
        true => Vec::new(),
        false => chosen.clone().unwrap_or_default(),
    };
    linux.set_masked_paths(Some(paths(&host.masked_paths)));
    linux.set_readonly_paths(Some(paths(&host.readonly_paths)));
    linux.set_rootfs_propagation(mounts::root_propagation(record).map(Into::into));
    linux
}

/// What was asked for, and in a network of its own what Docker lets everybody do there: use ports
/// below 1024, and ping.
fn sysctls(record: &Record, facts: &Facts) -> HashMap<String, String> {
    let mut all: HashMap<_, _> = match facts.network {
        NetworkFact::Given => OPEN_SYSCTLS.map(|(key, value)| (key.into(), value.into())).into(),
        NetworkFact::Path(_) | NetworkFact::Host => HashMap::new(),
    };
    all.extend(record.host.sysctls.clone());
    all
}

fn namespaces(record: &Record, facts: &Facts) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType as T;
    let host = &record.host;
    let mut found = vec![namespace(T::Mount, None)];
    match &facts.network {
        NetworkFact::Given => found.push(namespace(T::Network, None)),
        NetworkFact::Path(path) => found.push(namespace(T::Network, Some(path))),
        NetworkFact::Host => {}
    }
    if host.uts_mode == UtsMode::Private {
        found.push(namespace(T::Uts, None));
    }
    match (&host.pid_mode, &facts.pid_namespace) {
        (PidMode::Host, _) => {}
        (_, path) => found.push(namespace(T::Pid, path.as_deref())),
    }
    if host.ipc_mode != IpcMode::Host {
        found.push(namespace(T::Ipc, None));
    }
    if host.cgroupns_mode.is_private(facts.cgroup_v2) {
        found.push(namespace(T::Cgroup, None));
    }
    found
}

fn namespace(kind: LinuxNamespaceType, path: Option<&Path>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind).set_path(path.map(Into::into));
    namespace
}

fn device(device: &HostDevice) -> LinuxDevice {
    let kind = if device.block { LinuxDeviceType::B } else { LinuxDeviceType::C };
    let mut made = LinuxDevice::default();
    made.set_path(device.path.clone())
        .set_typ(kind)
        .set_major(device.major.into())
        .set_minor(device.minor.into())
        .set_file_mode(Some(device.mode))
        .set_uid(Some(device.uid))
        .set_gid(Some(device.gid));
    made
}

fn shim_config(record: &Record, facts: &Facts) -> ShimConfig {
    let log = match &record.host.log.driver {
        LogDriver::None => None,
        LogDriver::JsonFile { max_size_bytes, max_files } => Some(LogConfig {
            path: facts.log.clone(),
            max_size_bytes: *max_size_bytes,
            max_files: *max_files,
        }),
    };
    ShimConfig {
        id: record.id.to_string(),
        root: RootFs::Overlay {
            lower: [&facts.common_layer].into_iter().chain(&record.rootfs.lower).cloned().collect(),
            upper: record.rootfs.upper.clone(),
            work: record.rootfs.work.clone(),
        },
        open_stdin: record.config.open_stdin,
        stdin_once: record.config.stdin_once,
        log,
        seccomp_program: facts.seccomp.clone(),
        user_text: Some(match record.config.user.as_str() {
            "" => "0".into(),
            user => user.into(),
        }),
        group_texts: record.host.group_add.clone(),
        network_from_engine: facts.network == NetworkFact::Given,
        lenient: Lenient {
            rlimits: record.host.resources.ulimits.is_empty(),
            oom_score_adj: record.host.oom_score_adj == 0,
        },
    }
}

#[cfg(test)]
mod tests;
