//! The container a task asks for.

use std::collections::HashMap;

use super::{BoolValue, Driver, Duration};

#[derive(Clone, PartialEq, prost::Message)]
pub struct ContainerSpec {
    #[prost(string, tag = "1")]
    pub image: String,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    #[prost(string, repeated, tag = "3")]
    pub command: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub args: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub env: Vec<String>,
    #[prost(string, tag = "6")]
    pub dir: String,
    #[prost(string, tag = "7")]
    pub user: String,
    #[prost(message, repeated, tag = "8")]
    pub mounts: Vec<Mount>,
    #[prost(message, optional, tag = "9")]
    pub stop_grace_period: Option<Duration>,
    #[prost(message, optional, tag = "10")]
    pub pull_options: Option<PullOptions>,
    #[prost(string, repeated, tag = "11")]
    pub groups: Vec<String>,
    #[prost(message, repeated, tag = "12")]
    pub secrets: Vec<SecretReference>,
    #[prost(bool, tag = "13")]
    pub tty: bool,
    #[prost(string, tag = "14")]
    pub hostname: String,
    #[prost(message, optional, tag = "15")]
    pub dns_config: Option<DnsConfig>,
    #[prost(message, optional, tag = "16")]
    pub healthcheck: Option<HealthConfig>,
    #[prost(string, repeated, tag = "17")]
    pub hosts: Vec<String>,
    #[prost(bool, tag = "18")]
    pub open_stdin: bool,
    #[prost(bool, tag = "19")]
    pub read_only: bool,
    #[prost(string, tag = "20")]
    pub stop_signal: String,
    #[prost(message, repeated, tag = "21")]
    pub configs: Vec<ConfigReference>,
    #[prost(message, optional, tag = "22")]
    pub privileges: Option<Privileges>,
    #[prost(message, optional, tag = "23")]
    pub init: Option<BoolValue>,
    #[prost(int32, tag = "24")]
    pub isolation: i32,
    #[prost(int64, tag = "25")]
    pub pids_limit: i64,
    #[prost(map = "string, string", tag = "26")]
    pub sysctls: HashMap<String, String>,
    #[prost(string, repeated, tag = "27")]
    pub capability_add: Vec<String>,
    #[prost(string, repeated, tag = "28")]
    pub capability_drop: Vec<String>,
    #[prost(message, repeated, tag = "29")]
    pub ulimits: Vec<Ulimit>,
    #[prost(int64, tag = "30")]
    pub oom_score_adj: i64,
}

/// The credentials for the image's registry, as the client's `X-Registry-Auth` header had them.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PullOptions {
    #[prost(string, tag = "64")]
    pub registry_auth: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Mount {
    #[prost(enumeration = "MountType", tag = "1")]
    pub r#type: i32,
    #[prost(string, tag = "2")]
    pub source: String,
    #[prost(string, tag = "3")]
    pub target: String,
    #[prost(bool, tag = "4")]
    pub readonly: bool,
    #[prost(message, optional, tag = "5")]
    pub bind_options: Option<BindOptions>,
    #[prost(message, optional, tag = "6")]
    pub volume_options: Option<VolumeOptions>,
    #[prost(message, optional, tag = "7")]
    pub tmpfs_options: Option<TmpfsOptions>,
    #[prost(int32, tag = "8")]
    pub consistency: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct BindOptions {
    #[prost(enumeration = "MountPropagation", tag = "1")]
    pub propagation: i32,
    #[prost(bool, tag = "2")]
    pub non_recursive: bool,
    #[prost(bool, tag = "3")]
    pub create_mountpoint: bool,
    #[prost(bool, tag = "4")]
    pub read_only_non_recursive: bool,
    #[prost(bool, tag = "5")]
    pub read_only_force_recursive: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct VolumeOptions {
    #[prost(bool, tag = "1")]
    pub no_copy: bool,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    #[prost(message, optional, tag = "3")]
    pub driver_config: Option<Driver>,
    #[prost(string, tag = "4")]
    pub subpath: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TmpfsOptions {
    #[prost(int64, tag = "1")]
    pub size_bytes: i64,
    #[prost(uint32, tag = "2")]
    pub mode: u32,
    #[prost(string, tag = "3")]
    pub options: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SecretReference {
    #[prost(string, tag = "1")]
    pub secret_id: String,
    #[prost(string, tag = "2")]
    pub secret_name: String,
    #[prost(message, optional, tag = "3")]
    pub file: Option<FileTarget>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ConfigReference {
    #[prost(string, tag = "1")]
    pub config_id: String,
    #[prost(string, tag = "2")]
    pub config_name: String,
    #[prost(oneof = "config_reference::Target", tags = "3, 4")]
    pub target: Option<config_reference::Target>,
}

pub mod config_reference {
    /// Where the config appears.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Target {
        #[prost(message, tag = "3")]
        File(super::FileTarget),
        #[prost(message, tag = "4")]
        Runtime(super::RuntimeTarget),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct RuntimeTarget {}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FileTarget {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub gid: String,
    #[prost(uint32, tag = "4")]
    pub mode: u32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DnsConfig {
    #[prost(string, repeated, tag = "1")]
    pub nameservers: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub search: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub options: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HealthConfig {
    #[prost(string, repeated, tag = "1")]
    pub test: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub interval: Option<Duration>,
    #[prost(message, optional, tag = "3")]
    pub timeout: Option<Duration>,
    #[prost(int32, tag = "4")]
    pub retries: i32,
    #[prost(message, optional, tag = "5")]
    pub start_period: Option<Duration>,
    #[prost(message, optional, tag = "6")]
    pub start_interval: Option<Duration>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Privileges {
    #[prost(message, optional, tag = "1")]
    pub credential_spec: Option<CredentialSpec>,
    #[prost(message, optional, tag = "2")]
    pub selinux_context: Option<SeLinuxContext>,
    #[prost(message, optional, tag = "3")]
    pub seccomp: Option<SeccompOptions>,
    #[prost(message, optional, tag = "4")]
    pub apparmor: Option<AppArmorOptions>,
    #[prost(bool, tag = "5")]
    pub no_new_privileges: bool,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CredentialSpec {
    #[prost(oneof = "credential_spec::Source", tags = "1, 2, 3")]
    pub source: Option<credential_spec::Source>,
}

pub mod credential_spec {
    /// Where the specification is.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum Source {
        #[prost(string, tag = "1")]
        File(String),
        #[prost(string, tag = "2")]
        Registry(String),
        #[prost(string, tag = "3")]
        Config(String),
    }
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SeLinuxContext {
    #[prost(bool, tag = "1")]
    pub disable: bool,
    #[prost(string, tag = "2")]
    pub user: String,
    #[prost(string, tag = "3")]
    pub role: String,
    #[prost(string, tag = "4")]
    pub r#type: String,
    #[prost(string, tag = "5")]
    pub level: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SeccompOptions {
    #[prost(enumeration = "SeccompMode", tag = "1")]
    pub mode: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub profile: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct AppArmorOptions {
    #[prost(enumeration = "AppArmorMode", tag = "1")]
    pub mode: i32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Ulimit {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int64, tag = "2")]
    pub soft: i64,
    #[prost(int64, tag = "3")]
    pub hard: i64,
}

enumerations! {
    MountType { Bind = 0, Volume = 1, Tmpfs = 2, NamedPipe = 3, Cluster = 4 }
    MountPropagation { RPrivate = 0, Private = 1, RShared = 2, Shared = 3, RSlave = 4, Slave = 5 }
    SeccompMode { Default = 0, Unconfined = 1, Custom = 2 }
    AppArmorMode { Default = 0, Disabled = 1 }
}
