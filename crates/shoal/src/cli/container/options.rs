//! The flags of `run` and `create`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// What a new container is like.
#[derive(Debug, Default, Args)]
#[command(disable_help_flag = true)]
pub(in crate::cli) struct Options {
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Name of the container
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Keep its standard input open
    #[arg(short, long)]
    pub(super) interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub(super) tty: bool,
    /// Remove it once it has stopped
    #[arg(long)]
    pub(super) rm: bool,
    /// Set an environment variable, or pass ours on
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
    /// Mount a volume or a directory of this machine
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:OPTIONS]")]
    pub(super) volume: Vec<String>,
    /// Mount a file system: type=bind|volume|tmpfs,source=…,target=…
    #[arg(long, value_name = "MOUNT")]
    pub(super) mount: Vec<String>,
    /// Mount memory
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    pub(super) tmpfs: Vec<String>,
    /// Publish a port
    #[arg(short, long, value_name = "[[IP:]PORT:]PORT[/PROTOCOL]")]
    pub(super) publish: Vec<String>,
    /// Publish every exposed port on a free one
    #[arg(short = 'P', long)]
    pub(super) publish_all: bool,
    /// Note that the program listens on a port
    #[arg(long, value_name = "PORT")]
    pub(super) expose: Vec<String>,
    /// Network to join: bridge, host, none, container:NAME or one of your own
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    pub(super) network: Vec<String>,
    /// A further name in the first network
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    pub(super) network_alias: Vec<String>,
    /// A fixed address in the first network
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Option<String>,
    /// A fixed hardware address
    #[arg(long, value_name = "ADDRESS")]
    pub(super) mac_address: Option<String>,
    /// When to start it again: no, always, unless-stopped, on-failure[:TIMES]
    #[arg(long, default_value = "no", value_name = "POLICY")]
    pub(super) restart: String,
    /// Limit memory (512m, 2g)
    #[arg(short, long, value_name = "BYTES")]
    pub(super) memory: Option<String>,
    /// Limit memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(super) memory_swap: Option<String>,
    /// Memory the kernel leaves it when short
    #[arg(long, value_name = "BYTES")]
    pub(super) memory_reservation: Option<String>,
    /// How gladly its memory is swapped, 0 to 100
    #[arg(long, value_name = "PERCENT")]
    pub(super) memory_swappiness: Option<i64>,
    /// Limit processors (1.5)
    #[arg(long, value_name = "NUMBER")]
    pub(super) cpus: Option<String>,
    /// Weight among others, 1024 is usual
    #[arg(short, long, value_name = "WEIGHT")]
    pub(super) cpu_shares: Option<i64>,
    /// Microseconds of a processor per period
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    pub(super) cpu_quota: Option<i64>,
    /// The period --cpu-quota is counted in
    #[arg(long, value_name = "MICROSECONDS")]
    pub(super) cpu_period: Option<i64>,
    /// Processors it may use (0-2,4)
    #[arg(long, value_name = "LIST")]
    pub(super) cpuset_cpus: Option<String>,
    /// Memory nodes it may use
    #[arg(long, value_name = "LIST")]
    pub(super) cpuset_mems: Option<String>,
    /// Limit processes
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(super) pids_limit: Option<i64>,
    /// Set a resource limit
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(super) ulimit: Vec<String>,
    /// How gladly the kernel ends it when memory runs out, -1000 to 1000
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    pub(super) oom_score_adj: Option<i64>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    pub(super) shm_size: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(super) workdir: Option<String>,
    /// Who runs the program: name or number, with a group if wanted
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(super) user: Option<String>,
    /// A further group
    #[arg(long, value_name = "GROUP")]
    pub(super) group_add: Vec<String>,
    /// Host name inside
    #[arg(short = 'h', long)]
    pub(super) hostname: Option<String>,
    /// Domain name inside
    #[arg(long)]
    pub(super) domainname: Option<String>,
    /// A further line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub(super) add_host: Vec<String>,
    /// Name server
    #[arg(long, value_name = "ADDRESS")]
    pub(super) dns: Vec<String>,
    /// Option of the resolver
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub(super) dns_option: Vec<String>,
    /// Search domain
    #[arg(long, value_name = "DOMAIN")]
    pub(super) dns_search: Vec<String>,
    /// Replace the image's entry point
    #[arg(long, value_name = "PROGRAM")]
    pub(super) entrypoint: Option<String>,
    /// Set a label
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(super) label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    pub(super) label_file: Vec<PathBuf>,
    /// A free note
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) annotation: Vec<String>,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_drop: Vec<String>,
    /// Give it nearly everything root has
    #[arg(long)]
    pub(super) privileged: bool,
    /// How it is confined: no-new-privileges, seccomp=unconfined, seccomp=FILE
    #[arg(long, value_name = "OPTION")]
    pub(super) security_opt: Vec<String>,
    /// Make its root file system read-only
    #[arg(long)]
    pub(super) read_only: bool,
    /// Set a kernel parameter of its namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) sysctl: Vec<String>,
    /// Show it a device of this machine
    #[arg(long, value_name = "PATH[:PATH[:RIGHTS]]")]
    pub(super) device: Vec<String>,
    /// Allow a sort of devices
    #[arg(long, value_name = "RULE")]
    pub(super) device_cgroup_rule: Vec<String>,
    /// PID namespace: host or container:NAME
    #[arg(long, value_name = "MODE")]
    pub(super) pid: Option<String>,
    /// IPC namespace: private, shareable, none, host or container:NAME
    #[arg(long, value_name = "MODE")]
    pub(super) ipc: Option<String>,
    /// UTS namespace: host
    #[arg(long, value_name = "MODE")]
    pub(super) uts: Option<String>,
    /// User namespace: host
    #[arg(long, value_name = "MODE")]
    pub(super) userns: Option<String>,
    /// cgroup namespace: host or private
    #[arg(long, value_name = "MODE")]
    pub(super) cgroupns: Option<String>,
    /// Parent of its cgroup
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup_parent: Option<String>,
    /// Run an init as its first process
    #[arg(long)]
    pub(super) init: bool,
    /// Signal that asks it to stop
    #[arg(long, value_name = "SIGNAL")]
    pub(super) stop_signal: Option<String>,
    /// Seconds until SIGKILL follows
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub(super) stop_timeout: Option<i64>,
    #[command(flatten)]
    pub(super) health: Health,
    /// Who keeps its output: json-file or none
    #[arg(long, value_name = "DRIVER")]
    pub(super) log_driver: Option<String>,
    /// Option of the log driver: max-size=10m, max-file=3
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) log_opt: Vec<String>,
    /// Runtime to use
    #[arg(long)]
    pub(super) runtime: Option<String>,
    /// Take the mounts of another container
    #[arg(long, value_name = "CONTAINER")]
    pub(super) volumes_from: Vec<String>,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    pub(super) cidfile: Option<PathBuf>,
    /// Pull the image first: always, missing or never
    #[arg(long, default_value = "missing", value_parser = ["always", "missing", "never"])]
    pub(super) pull: String,
    /// Platform of the image (linux/amd64)
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM")]
    pub(super) platform: Option<String>,
    /// Say less while pulling
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// The image
    pub(super) image: String,
    /// Program and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
}

/// The flags of a health check.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct Health {
    /// Command that tells whether it is well
    #[arg(id = "health-cmd", long = "health-cmd", value_name = "COMMAND")]
    pub(in crate::cli) command: Option<String>,
    /// Time between two checks
    #[arg(id = "health-interval", long = "health-interval", value_name = "DURATION")]
    pub(in crate::cli) interval: Option<String>,
    /// Time one check may take
    #[arg(id = "health-timeout", long = "health-timeout", value_name = "DURATION")]
    pub(in crate::cli) timeout: Option<String>,
    /// Time after the start in which failures do not count
    #[arg(id = "health-start-period", long = "health-start-period", value_name = "DURATION")]
    pub(in crate::cli) start_period: Option<String>,
    /// Time between two checks in that time
    #[arg(id = "health-start-interval", long = "health-start-interval", value_name = "DURATION")]
    pub(in crate::cli) start_interval: Option<String>,
    /// Failures in a row that make it unhealthy
    #[arg(id = "health-retries", long = "health-retries", value_name = "NUMBER")]
    pub(in crate::cli) retries: Option<i64>,
    /// Switch the image's check off
    #[arg(id = "no-healthcheck", long = "no-healthcheck")]
    pub(in crate::cli) off: bool,
}
