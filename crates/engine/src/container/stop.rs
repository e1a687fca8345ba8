//! Stops containers.

use std::sync::Arc;
use std::time::Duration;

use super::container::Container;
use super::kill::{Delivery, stop_signal};
use super::state::Phase;
use super::{Containers, not_running};
use crate::domain::StopOptions;
use crate::error::ContainerError;

/// Time a program gets when neither caller nor container says; Docker's.
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

impl Containers {
    /// Asks a container's program to end, and kills it when its time is up.
    ///
    /// # Errors
    /// `NotModified` if it does not run.
    pub async fn stop(&self, name: &str, options: StopOptions) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        let containers = self.clone();
        let work = async move {
            let _gate = container.gate.lock().await;
            if !container.state.borrow().phase.is_active() {
                return Err(ContainerError::NotModified(not_running(&container.id).to_string()));
            }
            containers.end(&container, options).await
        };
        self.node.tasks.finish(work).await
    }

    /// Stops a container that is active. Under its gate.
    pub(super) async fn end(
        &self,
        container: &Arc<Container>,
        options: StopOptions,
    ) -> Result<(), ContainerError> {
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
        let signal = options.signal.unwrap_or_else(|| stop_signal(container));
        let delivery = self.signal(container, signal).await?;
        if delivery == Delivery::Done {
            self.publish(&container.record(), "kill", &[("signal", signal.number().to_string())]);
        }
        // A program that was not told does not get its time.
        if delivery == Delivery::Late
            || !self.await_exit(container, exits, patience(container, options)).await?
        {
            self.kill_hard(container).await?;
        }
        self.publish(&container.record(), "stop", &[]);
        Ok(())
    }
}

/// How long a program gets between the stop signal and SIGKILL; `None` is for ever.
fn patience(container: &Container, options: StopOptions) -> Option<Duration> {
    match options.timeout_s.or(container.record().config.stop_timeout_s) {
        None => Some(DEFAULT_STOP_TIMEOUT),
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::container::tests::container;

    #[test]
    fn the_callers_patience_wins_and_less_than_none_is_for_ever() {
        let container = container(&"a".repeat(64), "a");
        let patience = |timeout_s| patience(&container, StopOptions { timeout_s, signal: None });
        assert_eq!(patience(None), Some(DEFAULT_STOP_TIMEOUT));
        assert_eq!(patience(Some(0)), Some(Duration::ZERO));
        assert_eq!(patience(Some(-1)), None);
        let mut record = (*container.record()).clone();
        record.config.stop_timeout_s = Some(3);
        container.set_record(record);
        assert_eq!(
            super::patience(&container, StopOptions::default()),
            Some(Duration::from_secs(3))
        );
    }
}
