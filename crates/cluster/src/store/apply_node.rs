//! Nodes: let in, described, gone.

use std::sync::Arc;

use shoal_model::swarm::{Node, NodeStatus};
use shoal_model::{SwarmNodeId, Timestamp};

use super::apply::{in_sequence, not_found};
use super::{ApplyError, Event, Object, Store};

impl Store {
    pub(super) fn create_node(
        &mut self,
        mut node: Node,
        at: Timestamp,
    ) -> Result<Event, ApplyError> {
        if self.nodes.contains(&node.id) {
            return Err(ApplyError::AlreadyExists { what: "node", id: node.id.to_string() });
        }
        self.born(&mut node.meta, at);
        node.status.since = at;
        let node = Arc::new(node);
        self.nodes.insert(node.id.clone(), Arc::clone(&node));
        Ok(Event::Created(Object::Node(node)))
    }

    pub(super) fn update_node(&mut self, node: Node, at: Timestamp) -> Result<Event, ApplyError> {
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

    /// Lets `write` change what the cluster itself observes of the node; `None` if it is gone or
    /// nothing changed.
    pub(super) fn write_node(
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

    pub(super) fn set_node_status(
        &mut self,
        id: &SwarmNodeId,
        status: NodeStatus,
        at: Timestamp,
    ) -> Option<Event> {
        self.write_node(id, at, |node| {
            let since = match node.status.state == status.state {
                true => node.status.since,
                false => at,
            };
            node.status = NodeStatus { since, ..status };
        })
    }

    pub(super) fn remove_node(&mut self, id: &SwarmNodeId) -> Result<Event, ApplyError> {
        let node = self.nodes.remove(id).ok_or_else(|| not_found("node", id))?;
        Ok(Event::Removed(Object::Node(node)))
    }
}
