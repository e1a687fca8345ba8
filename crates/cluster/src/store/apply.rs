//! Applies batches: the only writer of the store.

use std::sync::Arc;

use shoal_model::swarm::{
    Cluster, Meta, Node, NodeStatus, Service, Shared, Task, TaskState, TaskStatus, Version,
};
use shoal_model::{SwarmNodeId, TaskId, Timestamp};

use super::{ApplyError, Batch, Change, Event, Object, Store};

impl Store {
    /// Applies a batch as a whole.
    ///
    /// # Errors
    /// A strict change that does not fit the state (see [`Change`]); then
    /// nothing of the batch is applied.
    pub fn apply(&mut self, batch: Batch) -> Result<Vec<Event>, ApplyError> {
        let Batch { at, changes } = batch;
        if changes.iter().any(Change::is_strict) {
            let mut next = self.clone();
            let events = next.apply_all(changes, at)?;
            *self = next;
            Ok(events)
        } else {
            // Cannot fail, so needs no copy to fall back to.
            self.apply_all(changes, at)
        }
    }

    fn apply_all(&mut self, changes: Vec<Change>, at: Timestamp) -> Result<Vec<Event>, ApplyError> {
        self.index += 1;
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            if let Some(event) = self.apply_one(change, at)? {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// Applies one change; `None` if it was tolerantly skipped.
    fn apply_one(&mut self, change: Change, at: Timestamp) -> Result<Option<Event>, ApplyError> {
        match change {
            Change::CreateCluster(cluster) => self.create_cluster(*cluster, at).map(Some),
            Change::UpdateCluster(cluster) => self.update_cluster(*cluster, at).map(Some),
            Change::CreateNode(node) => self.create_node(*node, at).map(Some),
            Change::UpdateNode(node) => self.update_node(*node, at).map(Some),
            Change::RemoveNode(id) => match self.nodes.remove(&id) {
                Some(node) => Ok(Some(Event::Removed(Object::Node(node)))),
                None => Err(not_found("node", id)),
            },
            Change::CreateService(service) => self.create_service(*service, at).map(Some),
            Change::UpdateService(service) => self.update_service(*service, at).map(Some),
            Change::RemoveService(id) => match self.services.remove(&id) {
                Some(service) => {
                    let name = &service.spec.annotations.name;
                    Arc::make_mut(&mut self.service_names).remove(name);
                    Ok(Some(Event::Removed(Object::Service(service))))
                }
                None => Err(not_found("service", id)),
            },
            Change::CreateSecret(secret) => self.create_secret(*secret, at).map(Some),
            Change::UpdateSecret(secret) => self.update_secret(*secret, at).map(Some),
            Change::RemoveSecret(id) => self.remove_secret(&id).map(Some),
            Change::CreateConfig(config) => self.create_config(*config, at).map(Some),
            Change::UpdateConfig(config) => self.update_config(*config, at).map(Some),
            Change::RemoveConfig(id) => self.remove_config(&id).map(Some),
            tolerant => Ok(self.apply_tolerant(tolerant, at)),
        }
    }

    /// Applies a change that may have come too late.
    pub(crate) fn apply_tolerant(&mut self, change: Change, at: Timestamp) -> Option<Event> {
        match change {
            Change::CreateTask(task) => self.create_task(*task, at),
            Change::AssignTask { task, node, status } => self.write_task(&task, at, |task| {
                // A task of a global service is born with its node.
                let open = task.status.state < TaskState::Assigned
                    && task.node_id.as_ref().is_none_or(|bound| *bound == node);
                if open {
                    task.node_id = Some(node);
                    task.status = status;
                }
                open
            }),
            Change::SetDesiredState { task, state } => self.write_task(&task, at, |task| {
                let forward = task.desired_state < state;
                if forward {
                    task.desired_state = state;
                }
                forward
            }),
            Change::SetTaskStatus { task, status } => {
                self.write_task(&task, at, |task| observe(task, status, at))
            }
            Change::RemoveTask(id) => self.remove_task(&id),
            Change::SetUpdateStatus { service, spec_version, status } => {
                let old = self.services.get(&service)?;
                if old.spec_version != spec_version {
                    return None;
                }
                let mut new = Service::clone(old);
                new.update_status = Some(status);
                new.meta.updated_at = at;
                Some(self.replace_service(new))
            }
            Change::RollBackService { service, spec_version, status } => {
                let old = self.services.get(&service)?;
                if old.spec_version != spec_version {
                    return None;
                }
                let mut new = Service::clone(old);
                new.spec = new.previous_spec.take()?;
                // A version names one spec for ever: this is a new one, even
                // though an older one said the same.
                new.spec_version = Version(spec_version.0 + 1);
                new.previous_spec_version = None;
                new.update_status = Some(status);
                self.touch(&mut new.meta, at);
                Some(self.replace_service(new))
            }
            Change::SetNodeStatus { node, status } => self.write_node(&node, at, |node| {
                let since = match node.status.state == status.state {
                    true => node.status.since,
                    false => at,
                };
                node.status = NodeStatus { since, ..status };
            }),
            Change::SetNodeDescription { node, description } => {
                self.write_node(&node, at, |node| node.description = Some(*description))
            }
            Change::SetNodeCertificate { node, certificate, role } => {
                self.write_node(&node, at, |node| {
                    node.certificate = *certificate;
                    node.role = role;
                })
            }
            Change::SetManagerStatus { node, status } => {
                self.write_node(&node, at, |node| node.manager_status = status)
            }
            // Every strict change was taken by the caller.
            _ => None,
        }
    }

    pub(super) fn touch(&self, meta: &mut Meta, at: Timestamp) {
        meta.version = Version(self.index);
        meta.updated_at = at;
    }

    pub(super) fn born(&self, meta: &mut Meta, at: Timestamp) {
        self.touch(meta, at);
        meta.created_at = at;
    }

    fn create_cluster(&mut self, mut cluster: Cluster, at: Timestamp) -> Result<Event, ApplyError> {
        if let Some(there) = &self.cluster {
            return Err(ApplyError::AlreadyExists { what: "cluster", id: there.id.to_string() });
        }
        self.born(&mut cluster.meta, at);
        let cluster = Arc::new(cluster);
        self.cluster = Some(Arc::clone(&cluster));
        Ok(Event::Created(Object::Cluster(cluster)))
    }

    fn update_cluster(&mut self, mut cluster: Cluster, at: Timestamp) -> Result<Event, ApplyError> {
        let Some(old) = self.cluster.clone().filter(|old| old.id == cluster.id) else {
            return Err(not_found("cluster", cluster.id));
        };
        in_sequence(&old.meta, &cluster.meta)?;
        cluster.meta = old.meta;
        self.touch(&mut cluster.meta, at);
        let new = Arc::new(cluster);
        self.cluster = Some(Arc::clone(&new));
        Ok(Event::Updated { old: Object::Cluster(old), new: Object::Cluster(new) })
    }

    fn create_node(&mut self, mut node: Node, at: Timestamp) -> Result<Event, ApplyError> {
        if self.nodes.contains(&node.id) {
            return Err(ApplyError::AlreadyExists { what: "node", id: node.id.to_string() });
        }
        self.born(&mut node.meta, at);
        node.status.since = at;
        let node = Arc::new(node);
        self.nodes.insert(node.id.clone(), Arc::clone(&node));
        Ok(Event::Created(Object::Node(node)))
    }

    fn update_node(&mut self, node: Node, at: Timestamp) -> Result<Event, ApplyError> {
        let Some(old) = self.nodes.get(&node.id).cloned() else {
            return Err(not_found("node", node.id));
        };
        in_sequence(&old.meta, &node.meta)?;
        let mut new = Node::clone(&old);
        new.spec = node.spec;
        self.touch(&mut new.meta, at);
        let new = Arc::new(new);
        self.nodes.insert(new.id.clone(), Arc::clone(&new));
        Ok(Event::Updated { old: Object::Node(old), new: Object::Node(new) })
    }

    fn write_node(
        &mut self,
        id: &SwarmNodeId,
        at: Timestamp,
        write: impl FnOnce(&mut Node),
    ) -> Option<Event> {
        let old = Arc::clone(self.nodes.get(id)?);
        let mut new = Node::clone(&old);
        write(&mut new);
        if new == *old {
            return None;
        }
        // The version stays: it guards the spec, and what the cluster itself
        // observes must not get in the way of `docker node update`.
        new.meta.updated_at = at;
        let new = Arc::new(new);
        self.nodes.insert(id.clone(), Arc::clone(&new));
        Some(Event::Updated { old: Object::Node(old), new: Object::Node(new) })
    }

    fn create_service(&mut self, mut service: Service, at: Timestamp) -> Result<Event, ApplyError> {
        let name = &service.spec.annotations.name;
        if self.services.contains(&service.id) {
            return Err(ApplyError::AlreadyExists { what: "service", id: service.id.to_string() });
        }
        if self.service_names.contains_key(name) {
            return Err(ApplyError::NameTaken { what: "service", name: name.clone() });
        }
        self.born(&mut service.meta, at);
        let service = Arc::new(service);
        self.put_service(Arc::clone(&service));
        Ok(Event::Created(Object::Service(service)))
    }

    fn update_service(&mut self, mut service: Service, at: Timestamp) -> Result<Event, ApplyError> {
        let Some(old) = self.services.get(&service.id).cloned() else {
            return Err(not_found("service", service.id));
        };
        in_sequence(&old.meta, &service.meta)?;
        let name = &service.spec.annotations.name;
        if self.service_names.get(name).is_some_and(|id| *id != service.id) {
            return Err(ApplyError::NameTaken { what: "service", name: name.clone() });
        }
        service.meta = old.meta;
        self.touch(&mut service.meta, at);
        if service.spec.task == old.spec.task {
            service.spec.task = Shared::clone(&old.spec.task);
        }
        Ok(self.replace_service(service))
    }

    fn replace_service(&mut self, service: Service) -> Event {
        let new = Arc::new(service);
        // Only ever called for a service that is there.
        let old = self.services.get(&new.id).cloned().unwrap_or_else(|| Arc::clone(&new));
        Arc::make_mut(&mut self.service_names).remove(&old.spec.annotations.name);
        self.put_service(Arc::clone(&new));
        Event::Updated { old: Object::Service(old), new: Object::Service(new) }
    }

    pub(super) fn put_service(&mut self, service: Arc<Service>) {
        let names = Arc::make_mut(&mut self.service_names);
        names.insert(service.spec.annotations.name.clone(), service.id.clone());
        self.services.insert(service.id.clone(), service);
    }

    fn create_task(&mut self, mut task: Task, at: Timestamp) -> Option<Event> {
        if self.tasks.contains(&task.id) || !self.services.contains(&task.service_id) {
            return None;
        }
        self.born(&mut task.meta, at);
        Some(Event::Created(Object::Task(self.put_task(task))))
    }

    /// Files a new task, sharing the service's spec if it is the same.
    pub(super) fn put_task(&mut self, mut task: Task) -> Arc<Task> {
        if let Some(service) = self.services.get(&task.service_id)
            && service.spec.task == task.spec
        {
            task.spec = Shared::clone(&service.spec.task);
        }
        let task = Arc::new(task);
        self.service_tasks.add(task.service_id.clone(), task.id.clone());
        if let Some(node) = &task.node_id {
            self.node_tasks.add(node.clone(), task.id.clone());
        }
        self.tasks.insert(task.id.clone(), Arc::clone(&task));
        task
    }

    /// Lets `write` change the task; `None` if it is gone or `write` said no.
    fn write_task(
        &mut self,
        id: &TaskId,
        at: Timestamp,
        write: impl FnOnce(&mut Task) -> bool,
    ) -> Option<Event> {
        let old = Arc::clone(self.tasks.get(id)?);
        let mut new = Task::clone(&old);
        if !write(&mut new) {
            return None;
        }
        self.touch(&mut new.meta, at);
        if let (None, Some(node)) = (&old.node_id, &new.node_id) {
            self.node_tasks.add(node.clone(), id.clone());
        }
        let new = Arc::new(new);
        self.tasks.insert(id.clone(), Arc::clone(&new));
        Some(Event::Updated { old: Object::Task(old), new: Object::Task(new) })
    }

    fn remove_task(&mut self, id: &TaskId) -> Option<Event> {
        let task = self.tasks.remove(id)?;
        self.service_tasks.remove(&task.service_id, id);
        if let Some(node) = &task.node_id {
            self.node_tasks.remove(node, id);
        }
        Some(Event::Removed(Object::Task(task)))
    }
}

/// Takes a report into the task; false if it is a step back or nothing new.
fn observe(task: &mut Task, status: TaskStatus, at: Timestamp) -> bool {
    let seen = task.status.state;
    if !seen.may_become(status.state) {
        return false;
    }
    let nothing_new = seen == status.state
        && task.status.message == status.message
        && task.status.err == status.err
        && task.status.container == status.container
        && task.status.ports == status.ports;
    if nothing_new {
        return false;
    }
    if status.state == TaskState::Running && task.started_at.is_none() {
        task.started_at = Some(at);
    }
    task.status = TaskStatus { applied_at: Some(at), ..status };
    true
}

pub(super) fn in_sequence(stored: &Meta, given: &Meta) -> Result<(), ApplyError> {
    if stored.version == given.version { Ok(()) } else { Err(ApplyError::OutOfSequence) }
}

pub(super) fn not_found(what: &'static str, id: impl std::fmt::Display) -> ApplyError {
    ApplyError::NotFound { what, id: id.to_string() }
}
