//! The state of the cluster: every object by id, with indexes.
//!
//! Invariant: the state follows from the applied batches alone, so that every
//! manager that applied the same log has the same store. A clone is a
//! snapshot: it costs a few pointers and never changes. Must not know:
//! consensus, disks, clocks, sessions.

mod apply;
mod apply_node;
mod apply_secret;
mod apply_service;
mod apply_task;
mod change;
mod error;
mod event;
mod find;
mod snapshot;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use shoal_model::swarm::{Cluster, Config, Node, Secret, Service, Task};
use shoal_model::{ConfigId, SecretId, ServiceId, SwarmNodeId, TaskId};

pub use change::{Batch, Change, MAX_CHANGES_PER_BATCH};
pub use error::ApplyError;
pub use event::{Event, Object};
pub use find::FindError;

use table::{Index, Table};

/// The state of the cluster. Written by [`Store::apply`] only.
#[derive(Debug, Clone, Default)]
pub struct Store {
    /// Batches applied so far; the version given to what a batch writes.
    index: u64,
    cluster: Option<Arc<Cluster>>,
    nodes: Table<SwarmNodeId, Node>,
    services: Table<ServiceId, Service>,
    tasks: Table<TaskId, Task>,
    secrets: Table<SecretId, Secret>,
    configs: Table<ConfigId, Config>,
    service_names: Arc<BTreeMap<String, ServiceId>>,
    secret_names: Arc<BTreeMap<String, SecretId>>,
    config_names: Arc<BTreeMap<String, ConfigId>>,
    service_tasks: Index<ServiceId, TaskId>,
    node_tasks: Index<SwarmNodeId, TaskId>,
}

impl Store {
    /// Batches applied so far.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The cluster, once there is one.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// A node by id.
    pub fn node(&self, id: &SwarmNodeId) -> Option<&Arc<Node>> {
        self.nodes.get(id)
    }

    /// A service by id.
    pub fn service(&self, id: &ServiceId) -> Option<&Arc<Service>> {
        self.services.get(id)
    }

    /// A service by its exact name.
    pub fn service_by_name(&self, name: &str) -> Option<&Arc<Service>> {
        self.service_names.get(name).and_then(|id| self.services.get(id))
    }

    /// A task by id.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(id)
    }

    /// A secret by id.
    pub fn secret(&self, id: &SecretId) -> Option<&Arc<Secret>> {
        self.secrets.get(id)
    }

    /// A config by id.
    pub fn config(&self, id: &ConfigId) -> Option<&Arc<Config>> {
        self.configs.get(id)
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// All services, by id.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// All tasks, by id.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// All secrets, by id.
    pub fn secrets(&self) -> impl ExactSizeIterator<Item = &Arc<Secret>> {
        self.secrets.values()
    }

    /// All configs, by id.
    pub fn configs(&self) -> impl ExactSizeIterator<Item = &Arc<Config>> {
        self.configs.values()
    }

    /// The tasks of a service, by id, whether the service still exists or not.
    pub fn tasks_of_service(&self, service: &ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        self.service_tasks.of(service).filter_map(|id| self.tasks.get(id))
    }

    /// The tasks bound to a node, by id, whether the node still exists or not.
    pub fn tasks_of_node(&self, node: &SwarmNodeId) -> impl Iterator<Item = &Arc<Task>> {
        self.node_tasks.of(node).filter_map(|id| self.tasks.get(id))
    }

    /// Ids that tasks name as their service, existing or not.
    pub fn services_with_tasks(&self) -> impl Iterator<Item = &ServiceId> {
        self.service_tasks.keys()
    }

    /// Ids of nodes that tasks are bound to, existing or not.
    pub fn nodes_with_tasks(&self) -> impl Iterator<Item = &SwarmNodeId> {
        self.node_tasks.keys()
    }
}

#[cfg(test)]
mod tests;
