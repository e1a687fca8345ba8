//! What callers say and what they are told: configuration, options, views.
//!
//! Plain data, no IO. The HTTP layer converts its wire types to these and back;
//! the engine stores the same types in a container's record. It must not know
//! HTTP, JSON spellings or the CLI.

mod config;
mod host;
mod log;
mod modes;
mod mount;
mod name_pattern;
mod options;
mod port;
mod view;

pub use config::{ContainerConfig, Healthcheck, HealthcheckTest};
pub use host::{DeviceMapping, HostConfig, Resources, RestartPolicy, SeccompChoice, Ulimit};
pub use log::{LogConfig, LogConfigError, LogDriver};
pub use modes::{CgroupnsMode, IpcMode, ModeError, NetworkMode, PidMode, UtsMode};
pub(crate) use mount::check_destination;
pub use mount::{Mount, MountError, MountKind, Propagation, TmpfsOptions};
pub use name_pattern::{NamePattern, NamePatternError};
pub use options::{
    AttachOptions, CreateContainer, CreateExec, CreateVolume, Created, EndpointOptions, ListFilter,
    LogOptions, LogStreams, PruneFilter, Pruned, RemoveOptions, RootfsSource, StartExec,
    StopOptions, TerminalSize, UpdateContainer, Updated, VolumeFilter, WaitCondition, Waited,
};
pub use port::{HostPort, Port, PortBinding, PortError, Protocol};
pub use view::{
    BoundPort, ContainerCounts, ContainerState, ContainerStatus, ContainerSummary, ContainerView,
    DiskUse, EndpointView, ExecView, HealthProbe, HealthStatus, HealthView, MountPoint,
    NetworkCounters, Stats, TopTable, Volume,
};
