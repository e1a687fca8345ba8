//! Watches where containers are in their lives.

use tokio::sync::watch;

use super::Containers;
use super::inspect::view_state;
use super::state::RunState;
use crate::domain::ContainerState;
use crate::error::ContainerError;

/// A watch on one container's state. It looks at the state itself: what was so before the watch
/// began, or passed unseen, is not missed as an event would be.
#[derive(Debug)]
pub struct StateWatch {
    changes: watch::Receiver<RunState>,
}

impl Containers {
    /// Begins to watch a container; nobody else's changes wake the watch.
    ///
    /// # Errors
    /// There is no container of that name.
    pub fn watch(&self, name: &str) -> Result<StateWatch, ContainerError> {
        Ok(StateWatch { changes: self.table.find(name)?.state.subscribe() })
    }
}

impl StateWatch {
    /// Waits for a state that meets a condition, at once if it does already; `None` when the
    /// container is gone.
    pub async fn until(
        &mut self,
        mut met: impl FnMut(&ContainerState) -> bool,
    ) -> Option<ContainerState> {
        loop {
            let state = self.changes.borrow_and_update().clone();
            if state.removed {
                return None;
            }
            let state = view_state(state);
            if met(&state) {
                return Some(state);
            }
            self.changes.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::state::Phase;
    use crate::domain::ContainerStatus;

    #[tokio::test]
    async fn what_is_so_already_is_seen_and_what_is_gone_ends_the_watch() {
        let running = RunState { phase: Phase::Running, ..RunState::default() };
        let sender = watch::Sender::new(running);
        let mut watch = StateWatch { changes: sender.subscribe() };
        let is = |wanted| move |state: &ContainerState| state.status == wanted;
        assert!(watch.until(is(ContainerStatus::Running)).await.is_some());
        sender.send_modify(|state| state.phase = Phase::Exited);
        assert!(watch.until(is(ContainerStatus::Exited)).await.is_some());
        sender.send_modify(|state| state.removed = true);
        assert!(watch.until(|_| true).await.is_none());
    }
}
