//! The flags `service create` and `update` share.

use clap::Args;

use super::super::container::Health;

/// What a service is like. A flag that is not given leaves things as they are.
#[derive(Debug, Default, Args)]
pub(super) struct Options {
    /// How many tasks
    #[arg(long, value_name = "NUMBER")]
    pub(super) replicas: Option<u64>,
    /// Tasks on one node at most; 0: no limit
    #[arg(long, value_name = "NUMBER")]
    pub(super) replicas_max_per_node: Option<u64>,
    /// Working directory
    #[arg(short, long, value_name = "DIRECTORY")]
    pub(super) workdir: Option<String>,
    /// Who runs the program
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(super) user: Option<String>,
    /// Host name inside; may hold templates ({{.Node.Hostname}})
    #[arg(long)]
    pub(super) hostname: Option<String>,
    /// Replace the image's entry point
    #[arg(long, value_name = "COMMAND")]
    pub(super) entrypoint: Option<String>,
    /// Give it a terminal
    #[arg(short, long)]
    pub(super) tty: bool,
    /// Make its root file system read-only
    #[arg(long)]
    pub(super) read_only: bool,
    /// Run an init as its first process
    #[arg(long)]
    pub(super) init: bool,
    /// Signal that asks it to stop
    #[arg(long, value_name = "SIGNAL")]
    pub(super) stop_signal: Option<String>,
    /// Time until SIGKILL follows
    #[arg(long, value_name = "DURATION")]
    pub(super) stop_grace_period: Option<String>,
    /// Limit processors (1.5)
    #[arg(long, value_name = "NUMBER")]
    pub(super) limit_cpu: Option<String>,
    /// Limit memory (512m)
    #[arg(long, value_name = "BYTES")]
    pub(super) limit_memory: Option<String>,
    /// Limit processes
    #[arg(long, value_name = "NUMBER")]
    pub(super) limit_pids: Option<i64>,
    /// Keep processors free for each task
    #[arg(long, value_name = "NUMBER")]
    pub(super) reserve_cpu: Option<String>,
    /// Keep memory free for each task
    #[arg(long, value_name = "BYTES")]
    pub(super) reserve_memory: Option<String>,
    /// When to start again: none, on-failure, any
    #[arg(long, value_name = "CONDITION", value_parser = ["none", "on-failure", "any"])]
    pub(super) restart_condition: Option<String>,
    /// Time before a task is replaced
    #[arg(long, value_name = "DURATION")]
    pub(super) restart_delay: Option<String>,
    /// Restarts before giving up
    #[arg(long, value_name = "NUMBER")]
    pub(super) restart_max_attempts: Option<u64>,
    /// Time in which restarts count
    #[arg(long, value_name = "DURATION")]
    pub(super) restart_window: Option<String>,
    /// Tasks updated at a time; 0: all at once
    #[arg(long, value_name = "NUMBER")]
    pub(super) update_parallelism: Option<u64>,
    /// Time between two updates
    #[arg(long, value_name = "DURATION")]
    pub(super) update_delay: Option<String>,
    /// When updated tasks fail: pause, continue, rollback
    #[arg(long, value_name = "ACTION", value_parser = ["pause", "continue", "rollback"])]
    pub(super) update_failure_action: Option<String>,
    /// How long an updated task is watched
    #[arg(long, value_name = "DURATION")]
    pub(super) update_monitor: Option<String>,
    /// Share of updated tasks that may fail, 0 to 1
    #[arg(long, value_name = "RATIO")]
    pub(super) update_max_failure_ratio: Option<f64>,
    /// Whether the old or the new task goes first: stop-first, start-first
    #[arg(long, value_name = "ORDER", value_parser = ["stop-first", "start-first"])]
    pub(super) update_order: Option<String>,
    /// Tasks rolled back at a time
    #[arg(long, value_name = "NUMBER")]
    pub(super) rollback_parallelism: Option<u64>,
    /// Time between two roll backs
    #[arg(long, value_name = "DURATION")]
    pub(super) rollback_delay: Option<String>,
    /// When rolled back tasks fail: pause, continue
    #[arg(long, value_name = "ACTION", value_parser = ["pause", "continue"])]
    pub(super) rollback_failure_action: Option<String>,
    /// How long a rolled back task is watched
    #[arg(long, value_name = "DURATION")]
    pub(super) rollback_monitor: Option<String>,
    /// Share of rolled back tasks that may fail, 0 to 1
    #[arg(long, value_name = "RATIO")]
    pub(super) rollback_max_failure_ratio: Option<f64>,
    /// The same for a roll back: stop-first, start-first
    #[arg(long, value_name = "ORDER", value_parser = ["stop-first", "start-first"])]
    pub(super) rollback_order: Option<String>,
    /// Who keeps the output
    #[arg(long, value_name = "DRIVER")]
    pub(super) log_driver: Option<String>,
    /// Option of the log driver: max-size=10m, max-file=3
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) log_opt: Vec<String>,
    #[command(flatten)]
    pub(super) health: Health,
    /// How its name leads to its tasks: vip, dnsrr
    #[arg(long, value_name = "MODE", value_parser = ["vip", "dnsrr"])]
    pub(super) endpoint_mode: Option<String>,
    /// Send our registry credentials to the nodes
    #[arg(long)]
    pub(super) with_registry_auth: bool,
    /// Do not ask the registry for the image's digest
    #[arg(long)]
    pub(super) no_resolve_image: bool,
    /// Do not wait until the service has converged
    #[arg(short, long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(super) detach: bool,
    /// Say less
    #[arg(short, long)]
    pub(super) quiet: bool,
}
