//! One run of a container: from the start to what follows its exit.
//!
//! The task that listens for the exit owns the container's session, so nobody else
//! touches its run-time things until they are gone. After an exit, in this order:
//! the networks are left (ports are free when the caller hears of the exit), the
//! state is stored, everybody is told, the shim is buried, the session ends, and
//! then the restart policy or the removal has its turn.

use std::sync::Arc;
use std::time::Duration;

use shoal_model::{Classify as _, Timestamp};
use shoal_runtime::bundle::ExitRecord;
use shoal_runtime::protocol::Reply;
use tokio::sync::OwnedMutexGuard;

use super::container::Container;
use super::launch::{ExitListener, Running};
use super::record::Record;
use super::restart_policy::{self, EndedRun};
use super::state::{Happening, Phase, Refused};
use super::{Containers, health};
use crate::clock;
use crate::error::ContainerError;
use crate::node::blocking;
use crate::shim::{ShimError, in_time, is_late};

/// Exit code of a run whose end nobody saw; Docker's.
pub(super) const UNSEEN_EXIT_CODE: i32 = 255;
/// Exit code of a run that ended because its shim was killed: 128 + SIGKILL.
const KILLED_EXIT_CODE: i32 = 137;

/// How long a shim may take to clean up after its container: the kernel may take seconds to
/// let go of a cgroup, and a hundred containers may end at once.
const LEAVE_DEADLINE: Duration = Duration::from_secs(30);

/// Who starts a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starter {
    /// A caller.
    Caller,
    /// The restart policy, after this delay.
    Policy(Duration),
}

impl Containers {
    /// Starts a container. Under its gate.
    pub(super) async fn begin_run(
        &self,
        container: &Arc<Container>,
        starter: Starter,
    ) -> Result<(), ContainerError> {
        self.happen(container, Happening::Start, |_| {})
            .map_err(|refused| start_refused(container, refused))?;
        let outcome = self.try_run(container, starter).await;
        if let Err(error) = &outcome {
            let (_, exit_code) = failure_of(error);
            let told = self.happen(container, Happening::StartFailed, |state| {
                state.clear_process();
                state.error = error.to_string();
                state.exit_code = exit_code;
            });
            debug_assert_eq!(told, Ok(()));
            // Clients that attached for this start see its end.
            drop(container.take_waiting_attaches());
            self.save_state(container).await;
        }
        outcome
    }

    async fn try_run(
        &self,
        container: &Arc<Container>,
        starter: Starter,
    ) -> Result<(), ContainerError> {
        // Waits until an earlier run is cleaned up: before the permit, which others can use.
        let session = container.session.clone().lock_owned().await;
        let tasks = &self.node.tasks;
        let _permit = tokio::select! {
            permit = tasks.starts.acquire() => permit.map_err(|_| ContainerError::ShuttingDown)?,
            () = tasks.closing.cancelled() => return Err(ContainerError::ShuttingDown),
        };
        let Running { pid, started_at, sandbox, exit } = self.launch(container).await?;
        let record = container.record();
        self.publish_networks(&record, sandbox.as_deref(), "connect");
        let told = self.happen(container, Happening::Started, |state| {
            state.pid = pid;
            state.started_at = Some(started_at);
            state.sandbox = sandbox;
            state.note_start(matches!(starter, Starter::Policy(_)));
        });
        debug_assert_eq!(told, Ok(()));
        self.save_state(container).await;
        self.publish(&record, "start", &[]);
        let delay = match starter {
            Starter::Caller => None,
            Starter::Policy(delay) => Some(delay),
        };
        self.follow_run(container.clone(), session, exit, delay);
        // Clients that came while it was being started.
        if let Err(error) = self.serve_waiting_attaches(container).await {
            tracing::info!(container = %container.id, error = %error.chain(), "an attachment came too late");
        }
        Ok(())
    }

    /// Listens for a run's end in a task of its own.
    pub(super) fn follow_run(
        &self,
        container: Arc<Container>,
        session: OwnedMutexGuard<()>,
        exit: ExitListener,
        delay: Option<Duration>,
    ) {
        health::watch(self, &container);
        let containers = self.clone();
        self.node.tasks.spawn(async move {
            let mut exit = exit;
            let mut changes = container.state.subscribe();
            let run = changes.borrow().exits;
            let given_up = async { drop(changes.wait_for(|state| state.given_up > run).await) };
            let answer = tokio::select! {
                answer = exit.connection.answer(exit.question) => Some(answer),
                () = given_up => None,
                // The container stays; the next daemon finds it.
                () = containers.node.tasks.closing.cancelled() => return,
            };
            // On the heap: this task waits as long as the container runs, and the room for what
            // follows the exit would wait with it.
            Box::pin(containers.follow_exit(&container, answer, exit, session, delay)).await;
        });
    }

    /// Everything that follows a run's exit, in its order. Without an answer the run was given
    /// up, and is ended here.
    async fn follow_exit(
        &self,
        container: &Arc<Container>,
        answer: Option<Result<Reply, ShimError>>,
        mut exit: ExitListener,
        session: OwnedMutexGuard<()>,
        delay: Option<Duration>,
    ) {
        let record = container.record();
        if answer.is_none() {
            exit.kill_shim(&record.id);
            self.kill_processes(&record).await;
        }
        let ended = match answer {
            Some(Ok(Reply::Exited(ended))) => ended,
            _ => self.unanswered_exit(container).await,
        };
        let again = self.end_run(container, &ended, delay).await;
        // The shim cleans up and leaves; only then is nothing of the run left.
        let left = in_time(LEAVE_DEADLINE, exit.connection.drain()).await;
        // One that has left by itself, or was killed, hangs up.
        if left.is_err_and(|error| !matches!(error, ShimError::Io(_)) || is_late(&error)) {
            exit.kill_shim(&record.id);
        }
        self.bury(&record, exit.process).await;
        self.remove_bundle(&record).await;
        drop(session);
        self.after_run(container, again).await;
    }

    /// How a run ended whose shim left without saying.
    pub(super) async fn unanswered_exit(&self, container: &Arc<Container>) -> ExitRecord {
        let bundle = self.node.paths.bundle(&container.id);
        let told = blocking(move || bundle.read_exit()).await;
        match told {
            Ok(Some(ended)) => ended,
            _ => unseen_exit(KILLED_EXIT_CODE, "the container's shim was killed", container),
        }
    }

    /// Everything up to telling that a run has ended. The answer is the delay after which
    /// it is wanted again, if it is.
    pub(super) async fn end_run(
        &self,
        container: &Arc<Container>,
        ended: &ExitRecord,
        delay: Option<Duration>,
    ) -> Option<Duration> {
        let record = container.record();
        self.leave_networks(&record).await;
        let sandbox = container.state.borrow().sandbox.clone();
        let mut again = None;
        container.state.send_modify(|state| {
            let ran_for =
                state.started_at.map_or(Duration::ZERO, |start| ended.finished_at.since(start));
            let run = EndedRun {
                exit_code: ended.exit_code.into(),
                ran_for,
                restart_count: state.restart_count,
                stopped_by_hand: state.stopped_by_hand,
            };
            let wanted = restart_policy::wants_again(record.host.restart_policy, run);
            again = wanted.then(|| restart_policy::delay(delay, ran_for));
            if let Err(refused) = state.apply(Happening::Exited { again: wanted }) {
                tracing::error!(container = %record.id, ?refused, "an exit came out of order");
            }
            state.note_end(ended);
            // Told while the state is locked: who hears of it sees it, and who sees it
            // finds the event.
            self.publish_end(&record, ended, ran_for);
        });
        self.publish_networks(&record, sandbox.as_deref(), "disconnect");
        self.save_state(container).await;
        again
    }

    fn publish_end(&self, record: &Record, ended: &ExitRecord, ran_for: Duration) {
        if ended.oom_killed {
            self.publish(record, "oom", &[]);
        }
        let attributes = [
            ("exitCode", ended.exit_code.to_string()),
            ("execDuration", ran_for.as_secs().to_string()),
        ];
        self.publish(record, "die", &attributes);
    }

    /// What follows when nothing of a run is left.
    pub(super) async fn after_run(&self, container: &Arc<Container>, again: Option<Duration>) {
        if let Some(delay) = again {
            self.run_again(container, delay).await;
        } else if container.record().host.auto_remove {
            self.remove_ended(container).await;
        }
    }

    /// Starts a container again after a delay, and after a longer one if that fails:
    /// what is missing (a port, a network) may come back.
    pub(super) async fn run_again(&self, container: &Arc<Container>, first_delay: Duration) {
        let mut delay = first_delay;
        let mut changes = container.state.subscribe();
        loop {
            let stopped = changes.wait_for(|state| state.phase != Phase::Restarting);
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = stopped => return,
                () = self.node.tasks.closing.cancelled() => return,
            }
            let _gate = container.gate.lock().await;
            if container.state.borrow().phase != Phase::Restarting {
                return;
            }
            let error = match Box::pin(self.begin_run(container, Starter::Policy(delay))).await {
                Ok(()) | Err(ContainerError::ShuttingDown) => return,
                Err(error) => error,
            };
            tracing::info!(container = %container.id, error = %error.chain(), "the restart policy's start failed");
            let (again, exit_code) = failure_of(&error);
            let run = EndedRun {
                exit_code,
                ran_for: Duration::ZERO,
                restart_count: container.state.borrow().restart_count + 1,
                stopped_by_hand: false,
            };
            let policy = container.record().host.restart_policy;
            let more = again && restart_policy::wants_again(policy, run);
            let happening = Happening::Exited { again: true };
            let count = |state: &mut super::state::RunState| state.restart_count += 1;
            if !more || self.happen(container, happening, count).is_err() {
                return;
            }
            delay = restart_policy::delay(Some(delay), Duration::ZERO);
        }
    }
}

/// The record of an end nobody saw.
pub(super) fn unseen_exit(exit_code: i32, error: &str, container: &Container) -> ExitRecord {
    ExitRecord {
        exit_code,
        signal: None,
        oom_killed: false,
        error: Some(error.into()),
        started_at: container.state.borrow().started_at,
        finished_at: now(),
    }
}

fn now() -> Timestamp {
    clock::now()
}

/// Whether a failed start may go better next time, and the exit code it stands for.
fn failure_of(error: &ContainerError) -> (bool, i64) {
    match error {
        ContainerError::Runtime { exit_code, .. } => (!matches!(exit_code, 126 | 127), *exit_code),
        _ => (true, 128),
    }
}

fn start_refused(container: &Container, refused: Refused) -> ContainerError {
    match refused {
        Refused::AlreadyRunning => {
            ContainerError::NotModified(format!("container {} is already started", container.id))
        }
        Refused::Paused => {
            ContainerError::Conflict("cannot start a paused container, try unpause instead".into())
        }
        _ => {
            ContainerError::Conflict("container is marked for removal and cannot be started".into())
        }
    }
}
