//! News of tasks on their way to the manager: the newest of each task, many in one call.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shoal_model::TaskId;
use shoal_model::swarm::TaskStatus;
use tokio::sync::Notify;

/// Statuses in one call at most: as many as the manager puts into one proposal.
pub(super) const MAX_REPORTS: usize = 200;

/// The newest status of each task that the manager has not heard of.
#[derive(Default)]
pub(super) struct Reporter {
    waiting: Mutex<BTreeMap<TaskId, TaskStatus>>,
    more: Notify,
}

impl Reporter {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<TaskId, TaskStatus>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News; older news of the same task that still waits is dropped.
    pub(super) fn add(&self, id: TaskId, status: TaskStatus) {
        self.waiting().insert(id, status);
        self.more.notify_one();
    }

    /// Nobody wants to hear of this task any more.
    pub(super) fn forget(&self, id: &TaskId) {
        self.waiting().remove(id);
    }

    /// Waits until there is news.
    pub(super) async fn more(&self) {
        while self.waiting().is_empty() {
            self.more.notified().await;
        }
    }

    /// Takes up to [`MAX_REPORTS`] of the news.
    pub(super) fn take(&self) -> Vec<(TaskId, TaskStatus)> {
        let mut waiting = self.waiting();
        let keys: Vec<TaskId> = waiting.keys().take(MAX_REPORTS).cloned().collect();
        keys.into_iter().filter_map(|id| waiting.remove_entry(&id)).collect()
    }

    /// Puts back what could not be told, unless there is newer news.
    pub(super) fn put_back(&self, news: Vec<(TaskId, TaskStatus)>) {
        let mut waiting = self.waiting();
        for (id, status) in news {
            waiting.entry(id).or_insert(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use shoal_cluster::Rng;
    use shoal_model::Timestamp;
    use shoal_model::swarm::TaskState;

    use super::*;

    #[test]
    fn only_the_newest_is_told_and_nothing_is_lost() {
        let reporter = Reporter::default();
        let id = Rng::from_seed(1).task_id();
        let status = |state| TaskStatus::new(state, "", Timestamp::EPOCH);
        reporter.add(id.clone(), status(TaskState::Accepted));
        reporter.add(id.clone(), status(TaskState::Ready));
        let taken = reporter.take();
        assert_eq!(taken.len(), 1);
        reporter.add(id.clone(), status(TaskState::Running));
        reporter.put_back(taken);
        assert_eq!(reporter.take()[0].1.state, TaskState::Running);
        assert!(reporter.take().is_empty());
    }
}
