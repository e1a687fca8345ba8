//! Signals containers.
//!
//! Not under the gate: a kill must get through while a stop is waiting.

use std::sync::Arc;
use std::time::Duration;

use shoal_model::{Classify, Kind, Signal};
use shoal_runtime::protocol::Operation;

use super::container::Container;
use super::record::Record;
use super::state::{Happening, Phase};
use super::{Containers, is_started_at_boot, not_running};
use crate::error::ContainerError;
use crate::shim::{ANSWER_DEADLINE, Connection, ShimError, in_time, is_late};

/// Time a killed container gets to be gone; only a process stuck in the kernel takes longer.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// It was sent.
    Done,
    /// There is no process any more.
    Gone,
    /// The shim did not answer in time.
    Late,
}

impl Containers {
    /// Sends a signal to a container's program; `None` is SIGKILL.
    ///
    /// # Errors
    /// `Conflict` if it does not run.
    pub async fn kill(&self, name: &str, signal: Option<Signal>) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let signal = signal.unwrap_or(Signal::KILL);
        let containers = self.clone();
        let name = name.to_owned();
        self.node
            .tasks
            .finish(async move { containers.kill_running(&container, &name, signal).await })
            .await
    }

    async fn kill_running(
        &self,
        container: &Arc<Container>,
        name: &str,
        signal: Signal,
    ) -> Result<(), ContainerError> {
        let refused = || {
            ContainerError::Conflict(format!(
                "cannot kill container: {name}: {}",
                not_running(&container.id)
            ))
        };
        let phase = container.state.borrow().phase;
        if phase == Phase::Restarting {
            return self.give_up_restarting(container).await;
        }
        if !phase.has_process() {
            return Err(refused());
        }
        let exits = container.state.borrow().exits;
        if signal == Signal::KILL || signal == stop_signal(container) {
            // Whoever does this does not want it back.
            self.note_stop_by_hand(container).await;
        }
        match self.signal(container, signal).await? {
            Delivery::Done => {}
            Delivery::Gone => return Err(refused()),
            Delivery::Late if signal == Signal::KILL => self.give_up(container, exits),
            Delivery::Late => return Err(no_answer(container)),
        }
        self.publish(&container.record(), "kill", &[("signal", signal.number().to_string())]);
        if signal == Signal::KILL {
            self.await_killed(container, exits).await?;
        }
        Ok(())
    }

    /// Kills a container whatever it does, and waits until it is gone.
    pub(super) async fn kill_hard(&self, container: &Arc<Container>) -> Result<(), ContainerError> {
        let (phase, exits) = {
            let state = container.state.borrow();
            (state.phase, state.exits)
        };
        if phase == Phase::Restarting {
            return self.give_up_restarting(container).await;
        }
        if !phase.has_process() {
            return Ok(());
        }
        self.note_stop_by_hand(container).await;
        if self.signal(container, Signal::KILL).await? == Delivery::Late {
            self.give_up(container, exits);
        }
        self.publish(&container.record(), "kill", &[("signal", "9".into())]);
        if self.await_killed(container, exits).await? {
            return Ok(());
        }
        Err(ContainerError::Shim {
            container: container.id.to_string(),
            message: format!("still there {} s after SIGKILL", KILL_DEADLINE.as_secs()),
        })
    }

    /// Waits until a container that was sent SIGKILL is gone; whether it is.
    async fn await_killed(
        &self,
        container: &Container,
        exits: u64,
    ) -> Result<bool, ContainerError> {
        if self.await_exit(container, exits, Some(KILL_DEADLINE)).await? {
            return Ok(true);
        }
        // A process stuck in the kernel is none the better for the loss of its shim. A shim
        // that is stuck itself is.
        let bundle = self.node.paths.bundle(&container.id);
        match Connection::ask(&bundle, Operation::State).await {
            Err(error) if is_late(&error) => {
                self.give_up(container, exits);
                self.await_exit(container, exits, Some(KILL_DEADLINE)).await
            }
            _ => Ok(false),
        }
    }

    /// The shim of the run after the first `exits` does not answer: whoever follows the run
    /// ends it by force.
    fn give_up(&self, container: &Container, exits: u64) {
        container.state.send_modify(|state| state.given_up = state.given_up.max(exits + 1));
    }

    /// The restart policy keeps still until the next start.
    pub(super) async fn note_stop_by_hand(&self, container: &Arc<Container>) {
        container.state.send_modify(|state| state.stopped_by_hand = true);
        if is_started_at_boot(&container.record()) {
            // Now: whoever waits for the end is told before that is stored.
            self.save_state(container).await;
        }
    }

    /// Drops the restart policy's plan to start a container again.
    pub(super) async fn give_up_restarting(
        &self,
        container: &Arc<Container>,
    ) -> Result<(), ContainerError> {
        let done = self.happen(container, Happening::GiveUp, |state| {
            state.stopped_by_hand = true;
        });
        if done.is_ok() {
            self.save_state(container).await;
        }
        Ok(())
    }

    /// Sends a signal; SIGKILL to all processes. A signal that is to end a frozen container
    /// thaws it.
    pub(super) async fn signal(
        &self,
        container: &Container,
        signal: Signal,
    ) -> Result<Delivery, ContainerError> {
        let number = i32::from(signal.number());
        let all = signal == Signal::KILL;
        let kill = Operation::Kill { signal: number, all, exec: None };
        match Connection::ask(&self.node.paths.bundle(&container.id), kill).await {
            Ok((mut shim, _)) => {
                let paused = container.state.borrow().phase == Phase::Paused;
                if paused && thaws(&container.record(), signal) {
                    self.thaw(container, &mut shim).await;
                }
                Ok(Delivery::Done)
            }
            Err(error) if is_late(&error) => Ok(Delivery::Late),
            // It has just ended.
            Err(ShimError::Io(_)) => Ok(Delivery::Gone),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => {
                Ok(Delivery::Gone)
            }
            Err(error) => Err(ContainerError::shim(&container.id, error)),
        }
    }

    /// Lets a frozen container go on that was sent a signal: it notices only then.
    async fn thaw(&self, container: &Container, shim: &mut Connection) {
        // The shim may have done so for SIGKILL, and be about to leave: both are fine.
        if in_time(ANSWER_DEADLINE, shim.call(Operation::Resume)).await.is_err() {
            return;
        }
        // Not stored: a daemon that finds the container asks its shim, and the end is stored.
        if self.happen(container, Happening::Unpause, |_| {}).is_ok() {
            self.publish(&container.record(), "unpause", &[]);
        }
    }

    /// Waits for the exit after the first `exits`; whether it came in time.
    ///
    /// # Errors
    /// The engine closes meanwhile: the container goes on.
    pub(super) async fn await_exit(
        &self,
        container: &Container,
        exits: u64,
        deadline: Option<Duration>,
    ) -> Result<bool, ContainerError> {
        let mut changes = container.state.subscribe();
        let ended = changes.wait_for(|state| state.exits > exits || state.removed);
        let late = async {
            match deadline {
                None => std::future::pending().await,
                Some(deadline) => tokio::time::sleep(deadline).await,
            }
        };
        tokio::select! {
            ended = ended => Ok(ended.is_ok()),
            () = late => Ok(false),
            () = self.node.tasks.closing.cancelled() => Err(ContainerError::ShuttingDown),
        }
    }
}

fn no_answer(container: &Container) -> ContainerError {
    ContainerError::Shim {
        container: container.id.to_string(),
        message: format!("no answer within {} s", ANSWER_DEADLINE.as_secs()),
    }
}

/// The signal that asks this container to stop.
pub(super) fn stop_signal(container: &Container) -> Signal {
    chosen_stop_signal(&container.record()).unwrap_or(Signal::TERM)
}

fn chosen_stop_signal(record: &Record) -> Option<Signal> {
    record.config.stop_signal.as_deref().and_then(|text| text.parse().ok())
}

/// Whether a signal lets a frozen container go on: any does, as in Docker, but where the
/// container has a stop signal of its own only that one and SIGKILL.
fn thaws(record: &Record, signal: Signal) -> bool {
    signal == Signal::KILL || chosen_stop_signal(record).is_none_or(|stop| stop == signal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::container::tests::record;

    #[test]
    fn a_stop_signal_of_its_own_is_the_one_that_thaws() {
        let mut web = record(&"a".repeat(64), "web");
        assert!(thaws(&web, Signal::TERM) && thaws(&web, Signal::INT));
        web.config.stop_signal = Some("SIGTERM".into());
        assert!(thaws(&web, Signal::KILL) && thaws(&web, Signal::TERM));
        assert!(!thaws(&web, Signal::INT));
    }
}
