//! One node's assignment stream: what it has been told, and what it must be
//! told next.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::swarm::{Config, Secret, Task, TaskState};
use shoal_model::{ConfigId, SecretId, SwarmNodeId, TaskId};

use super::{Assignable, AssignableId, AssignmentChange, AssignmentKind, Assignments};
use crate::store::Store;

/// Changes in one incremental message at most (SwarmKit's batch size): keeps
/// a message far below the receivers' limits. A complete message holds
/// everything, because it removes what it does not list.
pub const MAX_CHANGES_PER_MESSAGE: usize = 100;

/// What one node has been told on its current stream.
#[derive(Debug, Clone)]
pub struct NodeFeed {
    node: SwarmNodeId,
    told: Told,
    sequence: u64,
    opened: bool,
}

#[derive(Debug, Clone, Default)]
struct Told {
    tasks: BTreeMap<TaskId, Arc<Task>>,
    secrets: BTreeMap<SecretId, Arc<Secret>>,
    configs: BTreeMap<ConfigId, Arc<Config>>,
}

impl NodeFeed {
    /// A stream that was just opened: the node has been told nothing.
    pub fn new(node: SwarmNodeId) -> Self {
        Self { node, told: Told::default(), sequence: 0, opened: false }
    }

    /// The messages that bring the node up to date with `view`, in order:
    /// first a complete one, later incremental ones; none if nothing changed.
    ///
    /// Call it when something about the node's tasks changed, at most once per
    /// batch window (SwarmKit: 100 ms) and feed.
    pub fn messages(&mut self, view: &Store) -> Vec<Assignments> {
        let wanted = wanted(view, &self.node);
        if !self.opened {
            self.opened = true;
            let changes = updates(&Told::default(), &wanted);
            self.told = wanted;
            return vec![self.message(AssignmentKind::Complete, changes)];
        }
        let mut changes = updates(&self.told, &wanted);
        changes.extend(removals(&self.told, &wanted));
        self.told = wanted;
        let mut messages = Vec::new();
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(MAX_CHANGES_PER_MESSAGE));
            messages.push(self.message(AssignmentKind::Incremental, changes));
            changes = rest;
        }
        messages
    }

    fn message(&mut self, kind: AssignmentKind, changes: Vec<AssignmentChange>) -> Assignments {
        let applies_to = match kind {
            AssignmentKind::Complete => String::new(),
            AssignmentKind::Incremental => self.sequence.to_string(),
        };
        self.sequence += 1;
        Assignments { kind, applies_to, results_in: self.sequence.to_string(), changes }
    }
}

/// What the node should hold: its tasks from Assigned on, and the secrets and
/// configs of those that have not ended.
fn wanted(view: &Store, node: &SwarmNodeId) -> Told {
    let mut wanted = Told::default();
    for task in view.tasks_of_node(node).filter(|task| task.status.state >= TaskState::Assigned) {
        if !task.status.state.is_terminal() {
            for used in &task.spec.container.secrets {
                if let Some(secret) = view.secret(&used.secret_id) {
                    wanted.secrets.insert(secret.id.clone(), Arc::clone(secret));
                }
            }
            for used in &task.spec.container.configs {
                if let Some(config) = view.config(&used.config_id) {
                    wanted.configs.insert(config.id.clone(), Arc::clone(config));
                }
            }
        }
        wanted.tasks.insert(task.id.clone(), Arc::clone(task));
    }
    wanted
}

/// What is new or different, in the order a node can apply it.
fn updates(told: &Told, wanted: &Told) -> Vec<AssignmentChange> {
    let update = AssignmentChange::Update;
    let mut changes = Vec::new();
    for (id, secret) in &wanted.secrets {
        if told.secrets.get(id).is_none_or(|old| old.spec != secret.spec) {
            changes.push(update(Assignable::Secret(Arc::clone(secret))));
        }
    }
    for (id, config) in &wanted.configs {
        if told.configs.get(id).is_none_or(|old| old.spec != config.spec) {
            changes.push(update(Assignable::Config(Arc::clone(config))));
        }
    }
    for (id, task) in &wanted.tasks {
        // What the node itself reported is no news to it; spec and endpoint
        // of a task never change.
        if told.tasks.get(id).is_none_or(|old| old.desired_state != task.desired_state) {
            changes.push(update(Assignable::Task(Arc::clone(task))));
        }
    }
    changes
}

fn removals(told: &Told, wanted: &Told) -> Vec<AssignmentChange> {
    let tasks = told.tasks.keys().filter(|id| !wanted.tasks.contains_key(id));
    let secrets = told.secrets.keys().filter(|id| !wanted.secrets.contains_key(id));
    let configs = told.configs.keys().filter(|id| !wanted.configs.contains_key(id));
    let ids = tasks
        .cloned()
        .map(AssignableId::Task)
        .chain(secrets.cloned().map(AssignableId::Secret))
        .chain(configs.cloned().map(AssignableId::Config));
    ids.map(AssignmentChange::Remove).collect()
}
