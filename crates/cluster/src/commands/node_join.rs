//! A node is let in.

use shoal_model::SwarmNodeId;
use shoal_model::swarm::{
    Availability, Certificate, IssuanceState, Membership, Node, NodeDescription, NodeRole,
    NodeSpec, NodeStatus,
};

use super::{CommandError, Decision, Outcome};
use crate::store::{ApplyError, Change, Store};

/// A node that showed a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// The id it gets.
    pub id: SwarmNodeId,
    /// The role its token stands for.
    pub role: NodeRole,
    /// Whether it wants tasks at once.
    pub availability: Availability,
    /// Its signing request (PEM).
    pub csr_pem: Vec<u8>,
    /// What it says about itself; only known for the node that makes the
    /// cluster, the others tell in their session.
    pub description: Option<NodeDescription>,
}

pub(super) fn decide(view: &Store, new: NewNode) -> Result<Decision, CommandError> {
    let NewNode { id, role, availability, csr_pem, description } = new;
    if view.node(&id).is_some() {
        return Err(ApplyError::AlreadyExists { what: "node", id: id.to_string() }.into());
    }
    let node = Node {
        id: id.clone(),
        meta: Default::default(),
        spec: NodeSpec {
            annotations: Default::default(),
            desired_role: role,
            membership: Membership::Accepted,
            availability,
        },
        description,
        status: NodeStatus::default(),
        manager_status: None,
        certificate: Certificate {
            role,
            csr_pem,
            state: IssuanceState::Pending,
            err: String::new(),
            certificate_pem: Vec::new(),
            common_name: id.to_string(),
        },
        role,
    };
    Ok(Decision {
        changes: vec![Change::CreateNode(Box::new(node))],
        outcome: Outcome::Node(id, role),
    })
}
