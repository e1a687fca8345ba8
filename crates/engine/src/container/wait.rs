//! Waits for containers.

use tokio::sync::watch;

use super::Containers;
use super::state::RunState;
use crate::domain::{WaitCondition, Waited};
use crate::error::ContainerError;

/// A wait that has begun; nothing that happens from now on is missed.
#[derive(Debug)]
pub struct Waiting {
    changes: watch::Receiver<RunState>,
    condition: WaitCondition,
    /// Exits before the wait began.
    exits: u64,
}

impl Containers {
    /// Begins to wait; the answer is in [`Waiting::done`], so that a caller can tell its client
    /// that the wait has begun.
    ///
    /// # Errors
    /// There is no container of that name.
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiting, ContainerError> {
        let changes = self.table.find(name)?.state.subscribe();
        let exits = changes.borrow().exits;
        Ok(Waiting { changes, condition, exits })
    }
}

impl Waiting {
    /// The end of the wait.
    pub async fn done(mut self) -> Waited {
        let (condition, exits) = (self.condition, self.exits);
        let mut last = Waited { exit_code: 0, error: None };
        let ended = self.changes.wait_for(|state| {
            last = told(state);
            is_over(state, condition, exits)
        });
        // The container's own end comes after its removal was told.
        let _ = ended.await;
        last
    }
}

fn is_over(state: &RunState, condition: WaitCondition, exits: u64) -> bool {
    match condition {
        // One that ends and is started again was not running in between, as in Docker.
        WaitCondition::NotRunning => {
            !state.phase.is_active() || state.exits > exits || state.removed
        }
        WaitCondition::NextExit => state.exits > exits || state.removed,
        WaitCondition::Removed => state.removed || state.removal_error.is_some(),
    }
}

fn told(state: &RunState) -> Waited {
    let exit_code = if state.exits > 0 { state.last_exit_code } else { state.exit_code };
    Waited { exit_code, error: state.removal_error.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::state::Phase;

    fn state(phase: Phase, exits: u64) -> RunState {
        RunState { phase, exits, ..RunState::default() }
    }

    #[test]
    fn each_condition_is_over_when_its_name_says() {
        use WaitCondition::*;
        assert!(is_over(&state(Phase::Created, 0), NotRunning, 0));
        assert!(!is_over(&state(Phase::Restarting, 3), NotRunning, 3));
        assert!(is_over(&state(Phase::Restarting, 3), NotRunning, 2));
        assert!(!is_over(&state(Phase::Created, 0), NextExit, 0));
        assert!(!is_over(&state(Phase::Exited, 2), NextExit, 2));
        assert!(is_over(&state(Phase::Running, 3), NextExit, 2));
        assert!(!is_over(&state(Phase::Exited, 1), Removed, 0));
        assert!(is_over(&RunState { removed: true, ..state(Phase::Removing, 1) }, Removed, 0));
    }

    #[tokio::test]
    async fn an_exit_is_not_missed_when_the_container_runs_again_at_once() {
        let sender = watch::Sender::new(state(Phase::Running, 0));
        let wait =
            Waiting { changes: sender.subscribe(), condition: WaitCondition::NextExit, exits: 0 };
        sender.send_modify(|state| {
            state.exits = 1;
            state.last_exit_code = 7;
        });
        sender.send_modify(|state| {
            state.phase = Phase::Running;
            state.exit_code = 0;
        });
        assert_eq!(wait.done().await, Waited { exit_code: 7, error: None });
    }
}
