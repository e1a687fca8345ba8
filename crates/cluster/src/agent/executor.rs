//! What the agent needs from an engine, in the agent's words.

use std::{future::Future, sync::Arc};

use shoal_model::swarm::{Config, ContainerStatus, NodeDescription, PortConfig, Secret, Task};
use shoal_model::{TaskId, Timestamp};

/// Runs tasks on this machine.
///
/// Rules for implementors (the suite in the module `contract` holds
/// them):
/// - Every operation is **idempotent** and names its task; after a crash the
///   agent simply calls again. Preparing what is prepared, starting what runs,
///   stopping what stopped and removing what is gone all succeed.
/// - The futures of `fetch`, `prepare`, `ready`, `wait` and `logs` may be dropped at any
///   await point; the others are run to their end.
/// - Containers are found by task id, also after a restart of the daemon.
pub trait Executor: Send + Sync + 'static {
    /// Says what this node is and has.
    fn describe(&self) -> impl Future<Output = Result<NodeDescription, ExecutorError>> + Send;

    /// Fetches the image, as long as it takes; many tasks may wait here for
    /// the same. That it could not be had is for `prepare` to say: it may be
    /// here all the same.
    fn fetch(&self, work: &Work) -> impl Future<Output = ()> + Send {
        let _ = work;
        std::future::ready(())
    }

    /// Makes the container of the image that was fetched, without starting it.
    fn prepare(&self, work: &Work) -> impl Future<Output = Result<(), ExecutorError>> + Send;

    /// Starts the container unless it has ever run: a task runs once. Returns
    /// when it runs; how one that has ended did so is for `wait` to tell.
    fn start(&self, work: &Work) -> impl Future<Output = Result<(), ExecutorError>> + Send;

    /// Returns when a started container may be counted on: at once without a
    /// health check, else when it is healthy. One that failed before, or turns
    /// out unhealthy and is stopped for it, is an error.
    fn ready(&self, task: &TaskId) -> impl Future<Output = Result<(), ExecutorError>> + Send {
        let _ = task;
        std::future::ready(Ok(()))
    }

    /// Returns when the container has ended, at once if it already has.
    fn wait(&self, task: &TaskId) -> impl Future<Output = Result<Exit, ExecutorError>> + Send;

    /// Stops the container: its stop signal, its grace period, then SIGKILL.
    /// Returns when it has ended. A task without container is stopped.
    fn shutdown(&self, work: &Work) -> impl Future<Output = Result<(), ExecutorError>> + Send;

    /// Removes the container and its anonymous volumes, stopping it at once
    /// if it still runs.
    fn remove(&self, task: &TaskId) -> impl Future<Output = Result<(), ExecutorError>> + Send;

    /// What the container of a task looks like now; `None`: there is none.
    fn observe(
        &self,
        task: &TaskId,
    ) -> impl Future<Output = Result<Option<Observation>, ExecutorError>> + Send;

    /// Tasks that have a container here, whatever its state. The agent
    /// removes those it was never told of.
    fn known_tasks(&self) -> impl Future<Output = Result<Vec<TaskId>, ExecutorError>> + Send;

    /// Hands the task's output to the sink, oldest line first; returns when
    /// there is no more or the sink is closed. With `follow` it waits for the
    /// start of a container that was only made, as Docker's executor does, and
    /// returns when it has ended, could not be started or was removed; every
    /// line of one it waited for is new, whatever `tail` says.
    fn logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
        sink: &mut (impl LogSink + Send),
    ) -> impl Future<Output = Result<(), ExecutorError>> + Send;
}

/// A task with the secrets and configs it uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The task.
    pub task: Arc<Task>,
    /// The secrets its spec names.
    pub secrets: Vec<Arc<Secret>>,
    /// The configs its spec names.
    pub configs: Vec<Arc<Config>>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit status, 128 + n if signal n ended it.
    pub code: i32,
    /// What is known beyond the number: `OOM killed`, `dockerexec: unhealthy container`.
    pub cause: Option<String>,
}

/// What a container looks like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observation {
    /// Its id, process and exit status.
    pub container: ContainerStatus,
    /// Host ports that were bound, with their numbers.
    pub ports: Vec<PortConfig>,
}

/// Why the engine could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutorError {
    /// It will not work, however often one tries. The text reaches the user
    /// in `service ps`. Stopping and removing are tried again all the same:
    /// what was not stopped may still run.
    #[error("{0}")]
    Fatal(String),
    /// It may work a little later (the engine is busy or restarting).
    #[error("{0}")]
    Temporary(String),
}

/// Which lines of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Lines of stdout.
    pub stdout: bool,
    /// Lines of stderr.
    pub stderr: bool,
    /// Go on while the container runs.
    pub follow: bool,
    /// How many of the lines there are already.
    pub tail: LogTail,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { stdout: true, stderr: true, follow: false, tail: LogTail::All, since: None }
    }
}

/// How many of the lines there are already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogTail {
    /// All.
    #[default]
    All,
    /// The last so many.
    Last(u64),
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub timestamp: Timestamp,
    /// Where it was written to.
    pub stream: LogStream,
    /// The line with its line break, if it had one.
    pub data: Vec<u8>,
}

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes lines of a log, slowly if it must.
pub trait LogSink {
    /// Takes one line; waits while there is no room.
    ///
    /// # Errors
    /// Nobody listens any more; the sender should stop.
    fn send(&mut self, line: LogLine) -> impl Future<Output = Result<(), SinkClosed>> + Send;
}

/// Nobody listens any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody listens to the log any more")]
pub struct SinkClosed;
