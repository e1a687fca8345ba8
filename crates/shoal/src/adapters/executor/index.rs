//! Which container belongs to which task.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shoal_engine::Containers;
use shoal_engine::domain::ListFilter;
use shoal_model::{ContainerId, TaskId};

/// The label that says a container's task.
pub(super) const TASK_LABEL: &str = "com.docker.swarm.task.id";

/// Containers by task. The engine's labels are the truth; this only saves
/// looking through all of them for every step of every task.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<HashMap<TaskId, ContainerId>>);

impl Index {
    /// Reads all containers with a task's label.
    pub(super) fn read(&self, containers: &Containers) {
        let filter = ListFilter {
            all: true,
            label: [TASK_LABEL.to_owned()].into(),
            ..ListFilter::default()
        };
        let Ok(found) = containers.list(&filter) else { return };
        let pairs = found.into_iter().filter_map(|summary| {
            let task = summary.labels.get(TASK_LABEL)?.parse().ok()?;
            Some((task, summary.id))
        });
        *self.lock() = pairs.collect();
    }

    /// The container of a task.
    pub(super) fn get(&self, task: &TaskId, containers: &Containers) -> Option<ContainerId> {
        let known = self.lock().get(task).cloned()?;
        if containers.resolve(known.as_str()).is_ok() {
            return Some(known);
        }
        // Somebody removed it by hand.
        self.remove(task);
        None
    }

    /// Remembers a container that was made.
    pub(super) fn put(&self, task: TaskId, container: ContainerId) {
        self.lock().insert(task, container);
    }

    /// Forgets a task.
    pub(super) fn remove(&self, task: &TaskId) {
        self.lock().remove(task);
    }

    /// All tasks with a container.
    pub(super) fn tasks(&self) -> Vec<TaskId> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, ContainerId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
