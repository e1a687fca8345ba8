//! Tasks that wait for a node, those of one spec together.

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::ServiceId;
use shoal_model::swarm::{Task, TaskState, Version};

use crate::store::Store;

/// Tasks of one service and one spec that wait for a node, never empty.
pub(super) struct Group {
    pub(super) service: ServiceId,
    pub(super) tasks: Vec<Arc<Task>>,
}

impl Group {
    /// A task that stands for all: they have the same spec.
    pub(super) fn sample(&self) -> &Task {
        &self.tasks[0]
    }
}

/// The waiting tasks in groups, services and tasks in a settled order.
pub(super) fn pending(view: &Store) -> Vec<Group> {
    let mut groups: BTreeMap<(ServiceId, Version), Vec<Arc<Task>>> = BTreeMap::new();
    for task in view.tasks() {
        if task.status.state < TaskState::Assigned && task.is_wanted() {
            let key = (task.service_id.clone(), task.spec_version);
            groups.entry(key).or_default().push(Arc::clone(task));
        }
    }
    let mut groups: Vec<_> = groups
        .into_iter()
        .map(|((service, _), mut tasks)| {
            tasks.sort_by(|one, other| (one.slot, &one.id).cmp(&(other.slot, &other.id)));
            Group { service, tasks }
        })
        .collect();
    // Whoever waits longest chooses first; the order by id settles the rest.
    groups.sort_by_key(|group| group.tasks.iter().map(|task| task.meta.created_at).min());
    groups
}
