//! What the user wants of a node.

use shoal_model::SwarmNodeId;
use shoal_model::swarm::{Node, NodeRole, NodeSpec, Version};

use super::{CommandError, Decision};
use crate::store::{Change, Store};

pub(super) fn decide(
    view: &Store,
    id: &SwarmNodeId,
    version: Version,
    spec: NodeSpec,
) -> Result<Decision, CommandError> {
    let Some(node) = view.node(id) else {
        return Err(CommandError::not_found("node", id));
    };
    let is_manager = |node: &Node| node.spec.desired_role == NodeRole::Manager;
    let demoted = is_manager(node) && spec.desired_role == NodeRole::Worker;
    if demoted && view.nodes().filter(|node| is_manager(node)).count() == 1 {
        let why = "attempting to demote the last manager of the swarm";
        return Err(CommandError::Precondition(why.to_owned()));
    }
    if spec.desired_role != node.spec.desired_role {
        return Err(CommandError::NotImplemented("changing the role of a node is".to_owned()));
    }
    let mut node = Node::clone(node);
    node.meta.version = version;
    node.spec = spec;
    Ok(Decision::done(vec![Change::UpdateNode(Box::new(node))]))
}
