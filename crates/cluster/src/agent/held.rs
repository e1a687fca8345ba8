//! What a node was told to run: the worker's copy of its assignments.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::swarm::{Config, ConfigRef, Secret, SecretRef, Task};
use shoal_model::{ConfigId, SecretId, TaskId};

use super::Work;
use crate::dispatch::{Assignable, AssignableId, AssignmentChange, AssignmentKind, Assignments};

/// What a node was told to run. Survives a lost session: the tasks go on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    tasks: BTreeMap<TaskId, Arc<Task>>,
    secrets: BTreeMap<SecretId, Arc<Secret>>,
    configs: BTreeMap<ConfigId, Arc<Config>>,
    /// `results_in` of the last message.
    sequence: String,
}

/// What a message changed for the tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// New, or to go elsewhere than before.
    pub changed: Vec<TaskId>,
    /// No longer assigned: to be shut down and removed.
    pub removed: Vec<TaskId>,
}

/// A message was lost; the caller opens the stream again and gets a complete
/// one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("assignments apply to {applies_to:?}, but this node is at {at:?}")]
pub struct OutOfStep {
    applies_to: String,
    at: String,
}

impl Held {
    /// The state kept on disk before a restart.
    pub fn restore(
        tasks: impl IntoIterator<Item = Task>,
        secrets: impl IntoIterator<Item = Secret>,
        configs: impl IntoIterator<Item = Config>,
    ) -> Self {
        Self {
            tasks: tasks.into_iter().map(|task| (task.id.clone(), Arc::new(task))).collect(),
            secrets: secrets.into_iter().map(|one| (one.id.clone(), Arc::new(one))).collect(),
            configs: configs.into_iter().map(|one| (one.id.clone(), Arc::new(one))).collect(),
            sequence: String::new(),
        }
    }

    /// A task it holds.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(id)
    }

    /// All tasks it holds, by id.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// A task with the secrets and configs it uses.
    pub fn work(&self, id: &TaskId) -> Option<Work> {
        let task = Arc::clone(self.tasks.get(id)?);
        let container = &task.spec.container;
        let secret = |used: &SecretRef| self.secrets.get(&used.secret_id).cloned();
        let config = |used: &ConfigRef| self.configs.get(&used.config_id).cloned();
        let secrets = container.secrets.iter().filter_map(secret).collect();
        let configs = container.configs.iter().filter_map(config).collect();
        Some(Work { secrets, configs, task })
    }

    /// Takes a message from the manager.
    ///
    /// # Errors
    /// The message does not follow the last one; nothing was changed.
    pub fn apply(&mut self, message: Assignments) -> Result<Applied, OutOfStep> {
        let Assignments { kind, applies_to, results_in, changes } = message;
        let before = match kind {
            AssignmentKind::Complete => std::mem::take(self),
            AssignmentKind::Incremental if applies_to == self.sequence => Self::default(),
            AssignmentKind::Incremental => {
                return Err(OutOfStep { applies_to, at: self.sequence.clone() });
            }
        };
        self.sequence = results_in;
        let mut applied = Applied::default();
        for change in changes {
            self.apply_one(change, &before, &mut applied);
        }
        let unlisted = before.tasks.into_keys().filter(|id| !self.tasks.contains_key(id));
        applied.removed.extend(unlisted);
        Ok(applied)
    }

    fn apply_one(&mut self, change: AssignmentChange, before: &Self, applied: &mut Applied) {
        match change {
            AssignmentChange::Update(Assignable::Task(task)) => {
                let id = task.id.clone();
                let old = self.tasks.insert(id.clone(), Arc::clone(&task));
                let old = old.as_ref().or_else(|| before.tasks.get(&id));
                let same = old.is_some_and(|old| {
                    old.desired_state == task.desired_state && old.spec == task.spec
                });
                if !same {
                    applied.changed.push(id);
                }
            }
            AssignmentChange::Update(Assignable::Secret(secret)) => {
                self.secrets.insert(secret.id.clone(), secret);
            }
            AssignmentChange::Update(Assignable::Config(config)) => {
                self.configs.insert(config.id.clone(), config);
            }
            AssignmentChange::Remove(AssignableId::Task(id)) => {
                if self.tasks.remove(&id).is_some() {
                    applied.removed.push(id);
                }
            }
            AssignmentChange::Remove(AssignableId::Secret(id)) => {
                self.secrets.remove(&id);
            }
            AssignmentChange::Remove(AssignableId::Config(id)) => {
                self.configs.remove(&id);
            }
        }
    }
}
