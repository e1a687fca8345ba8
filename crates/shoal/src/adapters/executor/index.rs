//! Which container belongs to which task.
//!
//! ```text
//!   (none) ──begin──▶ Coming ──made──▶ There ──remove──▶ (none)
//!                       └──given up──▶ (none)
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_engine::Containers;
use shoal_engine::domain::ListFilter;
use shoal_model::{ContainerId, TaskId};
use tokio::sync::watch;

/// The label that says a container's task.
pub(super) const TASK_LABEL: &str = "com.docker.swarm.task.id";

/// Containers by task. The engine's labels are the truth; this only saves
/// looking through all of them for every step of every task, and knows of
/// those the engine has not finished yet.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<HashMap<TaskId, Container>>);

#[derive(Debug)]
enum Container {
    /// The engine makes it; the channel closes when it has.
    Coming(watch::Receiver<()>),
    /// It is there.
    There(ContainerId),
}

/// A container that is being made. Whoever waits for it goes on when this is
/// dropped, with or without a container.
#[derive(Debug)]
pub(super) struct Coming {
    index: Arc<Index>,
    task: TaskId,
    made: Option<ContainerId>,
    _closes: watch::Sender<()>,
}

impl Coming {
    /// The container is there.
    pub(super) fn made(mut self, container: ContainerId) {
        self.made = Some(container);
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut all = self.index.lock();
        match self.made.take() {
            Some(container) => {
                all.insert(self.task.clone(), Container::There(container));
            }
            None => {
                all.remove(&self.task);
            }
        }
    }
}

impl Index {
    /// Reads all containers with a task's label.
    pub(super) fn read(&self, containers: &Containers) {
        let filter = ListFilter {
            all: true,
            label: [TASK_LABEL.to_owned()].into(),
            ..ListFilter::default()
        };
        // Held meanwhile: what is made or removed now comes before or after.
        let mut all = self.lock();
        let Ok(found) = containers.list(&filter) else { return };
        all.retain(|_, container| matches!(container, Container::Coming(_)));
        for summary in found {
            let task = summary.labels.get(TASK_LABEL).and_then(|label| label.parse().ok());
            if let Some(task) = task {
                all.entry(task).or_insert(Container::There(summary.id));
            }
        }
    }

    /// Says that a task's container will be made, unless it is there or coming.
    pub(super) fn begin(self: &Arc<Self>, task: &TaskId) -> Option<Coming> {
        let mut all = self.lock();
        if all.contains_key(task) {
            return None;
        }
        let (closes, closed) = watch::channel(());
        all.insert(task.clone(), Container::Coming(closed));
        Some(Coming { index: self.clone(), task: task.clone(), made: None, _closes: closes })
    }

    /// Waits until a task's container is there, or is not coming.
    pub(super) async fn settled(&self, task: &TaskId) {
        let coming = match self.lock().get(task) {
            Some(Container::Coming(closed)) => Some(closed.clone()),
            Some(Container::There(_)) | None => None,
        };
        if let Some(mut closed) = coming {
            // An error is the news: nothing is ever sent.
            let _ = closed.changed().await;
        }
    }

    /// The container of a task.
    pub(super) fn get(&self, task: &TaskId, containers: &Containers) -> Option<ContainerId> {
        let known = match self.lock().get(task)? {
            Container::There(id) => id.clone(),
            Container::Coming(_) => return None,
        };
        if containers.resolve(known.as_str()).is_ok() {
            return Some(known);
        }
        // Somebody removed it by hand.
        self.remove(task);
        None
    }

    /// Forgets the container of a task.
    pub(super) fn remove(&self, task: &TaskId) {
        let mut all = self.lock();
        if let Some(Container::There(_)) = all.get(task) {
            all.remove(task);
        }
    }

    /// All tasks with a container, made or coming.
    pub(super) fn tasks(&self) -> Vec<TaskId> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Container>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
