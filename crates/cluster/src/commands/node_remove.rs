//! A node leaves for good.

use std::time::Duration;

use shoal_model::swarm::{Cluster, NodeRole, NodeState};
use shoal_model::{SwarmNodeId, Timestamp};

use super::{CommandError, Decision};
use crate::store::{Change, Store};

/// A certificate made before its node was removed may live on by its expiry
/// plus the hour it is backdated.
const BACKDATE: Duration = Duration::from_secs(3600);

pub(super) fn decide(
    view: &Store,
    id: &SwarmNodeId,
    force: bool,
    now: Timestamp,
) -> Result<Decision, CommandError> {
    let Some(node) = view.node(id) else {
        return Err(CommandError::not_found("node", id));
    };
    if node.spec.desired_role == NodeRole::Manager {
        return Err(CommandError::Precondition(format!(
            "node {id} is a cluster manager and is a member of the raft cluster. \
             It must be demoted to worker before removal"
        )));
    }
    if !force && node.status.state == NodeState::Ready {
        return Err(CommandError::Precondition(format!(
            "node {id} is not down and can't be removed"
        )));
    }
    let mut changes = vec![Change::RemoveNode(id.clone())];
    if let Some(cluster) = view.cluster() {
        changes.push(Change::UpdateCluster(Box::new(blacklist(cluster, id, now))));
    }
    Ok(Decision::done(changes))
}

/// The cluster with the node's certificate refused, and entries dropped whose
/// certificates have run out by themselves.
fn blacklist(cluster: &Cluster, id: &SwarmNodeId, now: Timestamp) -> Cluster {
    let mut cluster = cluster.clone();
    let until = now + cluster.spec.ca.node_cert_expiry + BACKDATE;
    cluster.blacklisted_certificates.retain(|_, until| *until > now);
    cluster.blacklisted_certificates.insert(id.to_string(), until);
    cluster
}
