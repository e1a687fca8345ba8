//! A pass at work: its own copy of the state, with what it planned so far.

use std::collections::HashMap;

use shoal_model::swarm::{Task, TaskState, TaskStatus};
use shoal_model::{SwarmNodeId, TaskId, Timestamp};

use super::{Cause, Plan, Step};
use crate::{
    Rng,
    store::{Change, Store},
};

/// A pass at work. Each planned change is applied to the copy at once, so
/// that later parts of the pass see what earlier ones decided.
pub(crate) struct Work<'a> {
    view: Store,
    pub(crate) now: Timestamp,
    pub(crate) rng: &'a mut Rng,
    steps: Vec<Step>,
    /// Steps that create a task, by task: what is decided about it later in
    /// the same pass goes into its birth.
    born: HashMap<TaskId, usize>,
    next_deadline: Option<Timestamp>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(view: &Store, now: Timestamp, rng: &'a mut Rng) -> Self {
        let mut view = view.clone();
        view.begin_batch();
        Self { view, now, rng, steps: Vec::new(), born: HashMap::new(), next_deadline: None }
    }

    /// The state with everything planned so far.
    pub(crate) fn view(&self) -> &Store {
        &self.view
    }

    /// Asks for another pass at this time.
    pub(crate) fn wake_at(&mut self, time: Timestamp) {
        self.next_deadline = Some(self.next_deadline.map_or(time, |other| other.min(time)));
    }

    pub(crate) fn create_task(&mut self, task: Task, cause: Cause) {
        self.born.insert(task.id.clone(), self.steps.len());
        self.plan(Change::CreateTask(Box::new(task)), cause);
    }

    pub(crate) fn assign(&mut self, task: &TaskId, node: &SwarmNodeId, status: TaskStatus) {
        let (task, node) = (task.clone(), node.clone());
        self.plan(Change::AssignTask { task, node, status }, Cause::Scheduled);
    }

    /// Moves a desired state forward; nothing if it already is there.
    pub(crate) fn want(&mut self, task: &TaskId, state: TaskState, cause: Cause) {
        let behind = self.view.task(task).is_some_and(|task| task.desired_state < state);
        if behind {
            self.plan(Change::SetDesiredState { task: task.clone(), state }, cause);
        }
    }

    pub(crate) fn observe(&mut self, task: &TaskId, status: TaskStatus, cause: Cause) {
        self.plan(Change::SetTaskStatus { task: task.clone(), status }, cause);
    }

    pub(crate) fn forget(&mut self, task: &TaskId, cause: Cause) {
        self.plan(Change::RemoveTask(task.clone()), cause);
    }

    pub(crate) fn plan(&mut self, change: Change, cause: Cause) {
        let about_newborn = match &change {
            Change::AssignTask { task, .. }
            | Change::SetDesiredState { task, .. }
            | Change::SetTaskStatus { task, .. } => self.born.contains_key(task),
            _ => false,
        };
        if about_newborn {
            self.view.apply_tolerant(change, self.now);
        } else {
            self.view.apply_tolerant(change.clone(), self.now);
            self.steps.push(Step { change, cause });
        }
    }

    /// The plan, newborn tasks as they stand at its end.
    pub(crate) fn finish(mut self) -> Plan {
        for (id, index) in &self.born {
            if let (Some(task), Some(step)) = (self.view.task(id), self.steps.get_mut(*index)) {
                step.change = Change::CreateTask(Box::new(Task::clone(task)));
            }
        }
        Plan { steps: self.steps, next_deadline: self.next_deadline }
    }
}
