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
    /// [`super::Executor::fetch`], then [`super::Executor::prepare`].
    Prepare,
    /// [`super::Executor::start`], then [`super::Executor::ready`], dropped as
    /// soon as the task is to be shut down, then [`super::Executor::observe`].
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
        // It may still run: what it holds must not be given to another.
        Done::ShutDown(Err(_)) => None,
        Done::Prepared(Err(error)) | Done::Started(Err(error)) | Done::Exited(Err(error)) => {
            match error {
                ExecutorError::Fatal(text) => ended(failed(status, text, now)),
                ExecutorError::Temporary(_) => None,
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cluster::{at, service, task};

    fn wanted(desired: TaskState) -> Task {
        Task { desired_state: desired, ..task(&service("web", 1), 1, "n1") }
    }

    fn in_state(state: TaskState) -> TaskStatus {
        TaskStatus::new(state, "before", at(0))
    }

    /// The action in a word, with the reported state and message.
    fn asked(desired: TaskState, state: TaskState) -> String {
        match next(&wanted(desired), &in_state(state), at(1)) {
            Action::Report(status) => format!("{}: {}", status.state, status.message),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    #[test]
    fn towards_running() {
        use TaskState::*;
        let steps: Vec<_> = TaskState::ALL.into_iter().map(|s| asked(Running, s)).collect();
        assert_eq!(
            steps,
            [
                "accepted: accepted",
                "accepted: accepted",
                "accepted: accepted",
                "preparing: preparing",
                "prepare",
                "starting: starting",
                "start",
                "wait",
                "idle",
                "idle",
                "idle",
                "idle",
                "idle",
                "idle",
            ]
        );
    }

    #[test]
    fn a_task_wanted_ready_waits_there() {
        assert_eq!(asked(TaskState::Ready, TaskState::Preparing), "prepare");
        assert_eq!(asked(TaskState::Ready, TaskState::Ready), "idle");
    }

    #[test]
    fn a_task_to_be_ended_is_shut_down_from_anywhere() {
        for desired in [TaskState::Shutdown, TaskState::Remove] {
            for state in TaskState::ALL {
                let expected = if state.is_terminal() { "idle" } else { "shutdown" };
                assert_eq!(asked(desired, state), expected, "{state}");
            }
        }
    }

    fn after(state: TaskState, done: Done) -> String {
        match finish(&in_state(state), done, at(2)) {
            None => "again".to_owned(),
            Some(TaskStatus { state, message, err, .. }) => format!("{state}: {message} [{err}]"),
        }
    }

    fn exit(code: i32, cause: Option<&str>) -> Done {
        Done::Exited(Ok((Exit { code, cause: cause.map(str::to_owned) }, None)))
    }

    #[test]
    fn outcomes_in_swarmkits_words() {
        use TaskState::*;
        let fatal = || ExecutorError::Fatal("No such image: x".to_owned());
        let busy = || ExecutorError::Temporary("busy".to_owned());
        assert_eq!(after(Preparing, Done::Prepared(Ok(()))), "ready: prepared []");
        assert_eq!(after(Starting, Done::Started(Ok(None))), "running: started []");
        assert_eq!(after(Running, exit(0, None)), "complete: finished []");
        assert_eq!(after(Running, exit(3, None)), "failed: before [task: non-zero exit (3)]");
        assert_eq!(
            after(Running, exit(137, Some("OOM killed"))),
            "failed: before [task: non-zero exit (137): OOM killed]"
        );
        assert_eq!(after(Running, Done::ShutDown(Ok(None))), "shutdown: shutdown []");
        assert_eq!(
            after(Preparing, Done::Prepared(Err(fatal()))),
            "rejected: before [No such image: x]"
        );
        assert_eq!(
            after(Starting, Done::Started(Err(fatal()))),
            "failed: before [No such image: x]"
        );
        for done in [
            Done::Prepared(Err(busy())),
            Done::Started(Err(busy())),
            Done::Exited(Err(busy())),
            Done::ShutDown(Err(busy())),
            Done::ShutDown(Err(fatal())),
        ] {
            assert_eq!(after(Preparing, done), "again");
        }
    }

    #[test]
    fn an_ended_container_keeps_its_id_and_exit_status() {
        let container = ContainerStatus { container_id: "c1".to_owned(), pid: 42, exit_code: 0 };
        let seen = Observation { container, ports: vec![Default::default()] };
        let running = finish(&in_state(TaskState::Starting), Done::Started(Ok(Some(seen))), at(1));
        let running = running.unwrap();
        assert_eq!((running.container.as_ref().unwrap().pid, running.ports.len()), (42, 1));
        let ended = finish(&running, exit(7, None), at(2)).unwrap();
        let container = ended.container.unwrap();
        assert_eq!((container.container_id.as_str(), container.pid), ("c1", 0));
        assert_eq!((container.exit_code, ended.ports.len()), (7, 0));
    }

    #[test]
    fn every_walk_ends_and_only_moves_forward() {
        let mut rng = crate::Rng::from_seed(5);
        for _ in 0..2000 {
            let mut status = in_state(TaskState::Assigned);
            let mut desired = TaskState::Running;
            for _ in 0..40 {
                if rng.chance(5) {
                    desired = TaskState::Shutdown;
                }
                let failed = || Err(ExecutorError::Fatal("no".into()));
                let bad = rng.chance(10);
                let done = match next(&wanted(desired), &status, at(1)) {
                    Action::Idle => break,
                    Action::Report(next) => {
                        assert!(status.state.may_become(next.state));
                        status = next;
                        continue;
                    }
                    Action::Prepare => Done::Prepared(if bad { failed() } else { Ok(()) }),
                    Action::Start => {
                        Done::Started(if bad { failed().map(|()| None) } else { Ok(None) })
                    }
                    Action::Wait => exit(i32::from(bad), None),
                    Action::Shutdown => Done::ShutDown(Ok(None)),
                };
                let next = finish(&status, done, at(1)).unwrap();
                assert!(status.state.may_become(next.state), "{status:?} {next:?}");
                status = next;
            }
            assert!(status.state.is_terminal());
        }
    }
}
