//! The OCI runtime spec as the shim reads it: only what is looked at.
//!
//! Whoever writes a bundle may use a complete model of the spec; reading with one
//! would bring every operating system's sections, and a regular expression engine,
//! into a program that stays in memory once per container. As the spec demands,
//! unknown names are ignored; known ones we do not do are kept as [`Present`], so
//! that they can be refused by name.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Deserializer};

/// Something whose content does not matter, only that it says something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present(bool);

impl Present {
    /// Whether there is anything but null, zero, false and emptiness.
    pub(crate) fn says_something(self) -> bool {
        self.0
    }
}

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        fn says(value: &Value) -> bool {
            match value {
                Value::Null | Value::Bool(false) => false,
                Value::Bool(true) => true,
                Value::Number(number) => number.as_f64() != Some(0.0),
                Value::String(text) => !text.is_empty(),
                Value::Array(list) => !list.is_empty(),
                Value::Object(map) => map.values().any(says),
            }
        }
        Value::deserialize(deserializer).map(|value| Self(says(&value)))
    }
}

/// Null stands for nothing, as Go writes it.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Declares a section: every field may be missing or null.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(crate) struct $name {
            $(
                #[serde(deserialize_with = "or_default")]
                $(#[$attr])*
                pub(crate) $field: $type,
            )*
        }
    };
}

section!(
    /// `config.json`.
    Spec {
        root: Option<Root>,
        mounts: Vec<Mount>,
        process: Option<Process>,
        hostname: Option<String>,
        domainname: Option<String>,
        hooks: Present,
        annotations: serde_json::Value,
        linux: Linux,
        solaris: Present,
        windows: Present,
        vm: Present,
        zos: Present,
    }
);

section!(
    /// The root file system.
    Root {
        path: PathBuf,
        readonly: bool,
    }
);

section!(
    /// A mount.
    Mount {
        destination: PathBuf,
        r#type: Option<String>,
        source: Option<PathBuf>,
        options: Vec<String>,
        uid_mappings: Present,
        gid_mappings: Present,
    }
);

section!(
    /// The first process.
    Process {
        terminal: bool,
        console_size: Option<ConsoleSize>,
        user: User,
        args: Vec<String>,
        env: Vec<String>,
        cwd: PathBuf,
        capabilities: CapabilitySets,
        rlimits: Vec<Rlimit>,
        no_new_privileges: bool,
        apparmor_profile: Present,
        oom_score_adj: Option<i32>,
        selinux_label: Present,
        io_priority: Present,
        scheduler: Present,
        #[serde(rename = "execCPUAffinity")]
        exec_cpu_affinity: Present,
    }
);

section!(
    /// A terminal's first size.
    ConsoleSize {
        height: u64,
        width: u64,
    }
);

section!(
    /// Who the process is.
    User {
        uid: u32,
        gid: u32,
        umask: Option<u32>,
        additional_gids: Vec<u32>,
    }
);

section!(
    /// Capabilities by name.
    CapabilitySets {
        bounding: Vec<String>,
        effective: Vec<String>,
        inheritable: Vec<String>,
        permitted: Vec<String>,
        ambient: Vec<String>,
    }
);

section!(
    /// A resource limit.
    Rlimit {
        r#type: String,
        hard: u64,
        soft: u64,
    }
);

section!(
    /// Everything that is Linux's.
    Linux {
        uid_mappings: Present,
        gid_mappings: Present,
        sysctl: BTreeMap<String, String>,
        resources: Resources,
        cgroups_path: Option<PathBuf>,
        namespaces: Vec<Namespace>,
        devices: Vec<Device>,
        seccomp: Option<Seccomp>,
        rootfs_propagation: Option<String>,
        masked_paths: Vec<PathBuf>,
        readonly_paths: Vec<PathBuf>,
        mount_label: Present,
        intel_rdt: Present,
        memory_policy: Present,
        personality: Present,
        time_offsets: Present,
        net_devices: Present,
    }
);

section!(
    /// A namespace.
    Namespace {
        r#type: String,
        path: Option<PathBuf>,
    }
);

section!(
    /// A device node.
    Device {
        path: PathBuf,
        r#type: String,
        major: i64,
        minor: i64,
        file_mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
    }
);

section!(
    /// Limits.
    Resources {
        devices: Vec<DeviceRule>,
        memory: Memory,
        cpu: Cpu,
        pids: Option<Pids>,
        #[serde(rename = "blockIO")]
        block_io: BlockIo,
        hugepage_limits: Present,
        network: Present,
        rdma: Present,
        unified: BTreeMap<String, String>,
    }
);

section!(
    /// Who may use which device.
    DeviceRule {
        allow: bool,
        r#type: Option<String>,
        major: Option<i64>,
        minor: Option<i64>,
        access: Option<String>,
    }
);

section!(
    /// Memory limits.
    Memory {
        limit: Option<i64>,
        reservation: Option<i64>,
        swap: Option<i64>,
        kernel: Option<i64>,
        #[serde(rename = "kernelTCP")]
        kernel_tcp: Option<i64>,
        swappiness: Option<u64>,
        #[serde(rename = "disableOOMKiller")]
        disable_oom_killer: Option<bool>,
    }
);

section!(
    /// CPU limits.
    Cpu {
        shares: Option<u64>,
        quota: Option<i64>,
        period: Option<u64>,
        cpus: Option<String>,
        mems: Option<String>,
        idle: Present,
        burst: Present,
        realtime_runtime: Present,
        realtime_period: Present,
    }
);

section!(
    /// Process limits.
    Pids {
        limit: i64,
    }
);

section!(
    /// Block IO limits.
    BlockIo {
        weight: Option<u16>,
        leaf_weight: Present,
        weight_device: Present,
        throttle_read_bps_device: Vec<ThrottleDevice>,
        throttle_write_bps_device: Vec<ThrottleDevice>,
        #[serde(rename = "throttleReadIOPSDevice")]
        throttle_read_iops_device: Vec<ThrottleDevice>,
        #[serde(rename = "throttleWriteIOPSDevice")]
        throttle_write_iops_device: Vec<ThrottleDevice>,
    }
);

section!(
    /// A ceiling for one device.
    ThrottleDevice {
        major: i64,
        minor: i64,
        rate: u64,
    }
);

section!(
    /// System call rules.
    Seccomp {
        default_action: String,
        default_errno_ret: Option<u32>,
        flags: Present,
        listener_path: Present,
        syscalls: Vec<Syscall>,
    }
);

section!(
    /// One rule.
    Syscall {
        names: Vec<String>,
        action: String,
        errno_ret: Option<u32>,
        args: Vec<SyscallArgument>,
    }
);

section!(
    /// A test of an argument.
    SyscallArgument {
        index: u8,
        value: u64,
        value_two: u64,
        op: String,
    }
);
