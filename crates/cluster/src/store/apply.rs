//! Applies batches: the only writer of the store. How each sort of object changes is in the
//! files beside this one.

use std::sync::Arc;

use shoal_model::Timestamp;
use shoal_model::swarm::{Cluster, Meta, Version};

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
        self.begin_batch();
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            if let Some(event) = self.apply_one(change, at)? {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// What is written from now on is newer than all that is there.
    pub(crate) fn begin_batch(&mut self) {
        self.index += 1;
    }

    /// Applies one change; `None` if it was tolerantly skipped.
    fn apply_one(&mut self, change: Change, at: Timestamp) -> Result<Option<Event>, ApplyError> {
        match change {
            Change::CreateCluster(cluster) => self.create_cluster(*cluster, at).map(Some),
            Change::UpdateCluster(cluster) => self.update_cluster(*cluster, at).map(Some),
            Change::CreateNode(node) => self.create_node(*node, at).map(Some),
            Change::UpdateNode(node) => self.update_node(*node, at).map(Some),
            Change::RemoveNode(id) => self.remove_node(&id).map(Some),
            Change::CreateService(service) => self.create_service(*service, at).map(Some),
            Change::UpdateService(service) => self.update_service(*service, at).map(Some),
            Change::RemoveService(id) => self.remove_service(&id).map(Some),
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
            Change::AssignTask { task, node, status } => self.assign_task(&task, node, status, at),
            Change::SetDesiredState { task, state } => self.set_desired_state(&task, state, at),
            Change::SetTaskStatus { task, status } => self.observe_task(&task, status, at),
            Change::RemoveTask(id) => self.remove_task(&id),
            Change::SetUpdateStatus { service, spec_version, status } => {
                self.set_update_status(&service, spec_version, status, at)
            }
            Change::RollBackService { service, spec_version, status } => {
                self.roll_back_service(&service, spec_version, status, at)
            }
            Change::SetNodeStatus { node, status } => self.set_node_status(&node, status, at),
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
}

pub(super) fn in_sequence(stored: &Meta, given: &Meta) -> Result<(), ApplyError> {
    if stored.version == given.version { Ok(()) } else { Err(ApplyError::OutOfSequence) }
}

pub(super) fn not_found(what: &'static str, id: impl std::fmt::Display) -> ApplyError {
    ApplyError::NotFound { what, id: id.to_string() }
}
