//! One step of one task on its node.
//!
//! ```text
//! Assigned ─accept─▶ Accepted ─▶ Preparing ─prepare─▶ Ready ─▶ Starting ─start─▶ Running ─wait─▶ Complete
//!                                    │                (waits while             │                │
//!                                    │                 desired is Ready)       │                │ exit ≠ 0
//!                                    └─ error ─▶ Rejected                      └─── error ──▶ Failed
//! desired Shutdown or Remove, any state before the end: ─shutdown─▶ Shutdown
//! ```
//!
//! The texts are SwarmKit's; users read them in `service ps`.

use shoal_model::Timestamp;
use shoal_model::swarm::{ContainerStatus, Task, TaskState, TaskStatus};

use super::{ExecutorError, Exit, Observation};

/// What a task needs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing until it is assigned something else.
    Idle,
    /// Keep and report this status, then ask again.
    Report(TaskStatus),
    /// [`super::Executor::prepare`].
    Prepare,
    /// [`super::Executor::start`], then [`super::Executor::observe`].
    Start,
    /// [`super::Executor::wait`], then [`super::Executor::observe`]; dropped
    /// as soon as the task is to be shut down.
    Wait,
    /// [`super::Executor::shutdown`], then [`super::Executor::observe`].
    Shutdown,
}

/// How an action went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// [`Action::Prepare`].
    Prepared(Result<(), ExecutorError>),
    /// [`Action::Start`].
    Started(Result<Option<Observation>, ExecutorError>),
    /// [`Action::Wait`].
    Exited(Result<(Exit, Option<Observation>), ExecutorError>),
    /// [`Action::Shutdown`].
    ShutDown(Result<Option<Observation>, ExecutorError>),
}

/// What the task needs next, given the status the agent keeps for it.
///
/// `task` says where it should go; its own `status` (the manager's view of
/// it) is not looked at.
pub fn next(task: &Task, status: &TaskStatus, now: Timestamp) -> Action {
    use TaskState::*;
    if status.state.is_terminal() {
        return Action::Idle;
    }
    if task.desired_state >= Shutdown {
        return Action::Shutdown;
    }
    let report = |state, message| Action::Report(moved(status, state, message, now));
    match status.state {
        New | Pending | Assigned => report(Accepted, "accepted"),
        Accepted => report(Preparing, "preparing"),
        Preparing => Action::Prepare,
        Ready if task.desired_state < Running => Action::Idle,
        Ready => report(Starting, "starting"),
        Starting => Action::Start,
        Running => Action::Wait,
        Complete | Shutdown | Failed | Rejected | Remove | Orphaned => Action::Idle,
    }
}

/// The status after an action; `None`: nothing is decided, try again later.
pub fn finish(status: &TaskStatus, done: Done, now: Timestamp) -> Option<TaskStatus> {
    use TaskState::*;
    match done {
        Done::Prepared(Ok(())) => Some(moved(status, Ready, "prepared", now)),
        Done::Started(Ok(seen)) => Some(observed(moved(status, Running, "started", now), seen)),
        Done::Exited(Ok((exit, seen))) => {
            let mut after = match exit.code {
                0 if exit.cause.is_none() => moved(status, Complete, "finished", now),
                _ => failed(status, exit_text(&exit), now),
            };
            after = observed(after, seen);
            after.container.get_or_insert_default().exit_code = exit.code;
            ended(after)
        }
        Done::ShutDown(Ok(seen)) => ended(observed(moved(status, Shutdown, "shutdown", now), seen)),
        Done::Prepared(Err(error))
        | Done::Started(Err(error))
        | Done::Exited(Err(error))
        | Done::ShutDown(Err(error)) => match error {
            ExecutorError::Fatal(text) => ended(failed(status, text, now)),
            ExecutorError::Temporary(_) => None,
        },
    }
}

fn moved(status: &TaskStatus, state: TaskState, message: &str, now: Timestamp) -> TaskStatus {
    TaskStatus {
        timestamp: now,
        state,
        message: message.to_owned(),
        err: String::new(),
        ..status.clone()
    }
}

/// Failure before the start means the node could not take the task at all.
/// The message stays: it says what was being done.
fn failed(status: &TaskStatus, err: String, now: Timestamp) -> TaskStatus {
    let state = match status.state < TaskState::Starting {
        true => TaskState::Rejected,
        false => TaskState::Failed,
    };
    TaskStatus { timestamp: now, state, err, ..status.clone() }
}

fn observed(mut status: TaskStatus, seen: Option<Observation>) -> TaskStatus {
    if let Some(Observation { container, ports }) = seen {
        status.container = Some(container);
        status.ports = ports;
    }
    status
}

/// A container that ended has no process and holds no port.
fn ended(mut status: TaskStatus) -> Option<TaskStatus> {
    if let Some(ContainerStatus { pid, .. }) = &mut status.container {
        *pid = 0;
    }
    status.ports.clear();
    Some(status)
}

fn exit_text(exit: &Exit) -> String {
    match &exit.cause {
        Some(cause) => format!("task: non-zero exit ({}): {cause}", exit.code),
        None => format!("task: non-zero exit ({})", exit.code),
    }
}
