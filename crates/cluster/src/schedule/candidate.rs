//! Nodes as the scheduler sees them: what is free, and what went wrong.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use shoal_model::swarm::{Node, PortProtocol, PublishMode, Resources, Task, TaskState};
use shoal_model::{SwarmNodeId, Timestamp};

use super::group::Group;
use crate::store::Store;

/// Failures older than this no longer speak against a node (SwarmKit's).
pub(super) const FAILURE_MEMORY: Duration = Duration::from_secs(5 * 60);
/// So many failures within [`FAILURE_MEMORY`] make a node the last choice.
/// Fewer than SwarmKit's five, which it counts in memory: these are counted
/// from the history, which keeps four ended tasks per place.
pub(super) const FAILURES_THAT_COUNT: u32 = 3;

/// A node with what its tasks leave free.
pub(super) struct Candidate {
    pub(super) node: Arc<Node>,
    /// Tasks wanted on it.
    pub(super) tasks: u32,
    pub(super) free_nano_cpus: i64,
    pub(super) free_memory_bytes: i64,
    pub(super) host_ports: BTreeSet<(PortProtocol, u16)>,
}

impl Candidate {
    /// Takes a task's share away.
    pub(super) fn take(&mut self, task: &Task) {
        let (nano_cpus, memory) = reserved(task);
        self.free_nano_cpus -= nano_cpus;
        self.free_memory_bytes -= memory;
        self.host_ports.extend(host_ports(task));
    }
}

/// All nodes, by id, with what their tasks leave free.
pub(super) fn all(view: &Store) -> Vec<Candidate> {
    view.nodes()
        .map(|node| {
            let none = Resources::default();
            let resources = node.description.as_ref().map_or(&none, |d| &d.resources);
            let mut candidate = Candidate {
                node: Arc::clone(node),
                tasks: 0,
                free_nano_cpus: resources.nano_cpus,
                free_memory_bytes: resources.memory_bytes,
                host_ports: BTreeSet::new(),
            };
            for task in view.tasks_of_node(&node.id) {
                // A task of a global service is bound before it is placed.
                if task.status.state < TaskState::Assigned {
                    continue;
                }
                if task.is_wanted() {
                    candidate.tasks += 1;
                }
                // What is being stopped holds its share until it has ended.
                if task.holds_resources() {
                    candidate.take(task);
                }
            }
            candidate
        })
        .collect()
}

/// Processor and memory the task reserves.
pub(super) fn reserved(task: &Task) -> (i64, i64) {
    let requirements = task.spec.resources.as_ref();
    let reservations = requirements.and_then(|requirements| requirements.reservations.as_ref());
    reservations.map_or((0, 0), |r| (r.nano_cpus, r.memory_bytes))
}

/// Ports of the node that the task takes for itself.
pub(super) fn host_ports(task: &Task) -> impl Iterator<Item = (PortProtocol, u16)> {
    task.endpoint
        .iter()
        .flat_map(|endpoint| &endpoint.ports)
        .filter(|port| port.publish_mode == PublishMode::Host && port.published_port != 0)
        .map(|port| (port.protocol, port.published_port))
}

/// What went wrong with a service lately, by node.
#[derive(Default)]
pub(super) struct Failures {
    by_node: HashMap<SwarmNodeId, u32>,
}

impl Failures {
    /// What speaks against the node: nothing, until failures pile up.
    pub(super) fn penalty(&self, node: &SwarmNodeId) -> u32 {
        match self.by_node.get(node) {
            Some(count) if *count >= FAILURES_THAT_COUNT => *count,
            _ => 0,
        }
    }
}

/// Counts the recent failures of the group's service and spec.
pub(super) fn recent_failures(view: &Store, group: &Group, now: Timestamp) -> Failures {
    let mut failures = Failures::default();
    for task in view.tasks_of_service(&group.service) {
        let failed = matches!(task.status.state, TaskState::Failed | TaskState::Rejected);
        let recent = now.since(task.status.seen_at()) < FAILURE_MEMORY;
        if failed
            && recent
            && task.spec_version == group.sample().spec_version
            && let Some(node) = &task.node_id
        {
            *failures.by_node.entry(node.clone()).or_default() += 1;
        }
    }
    failures
}
