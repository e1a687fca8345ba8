//! Settings of the cluster, and new join tokens.

use std::time::Duration;

use shoal_model::swarm::{Cluster, ClusterSpec, DEFAULT_CLUSTER_NAME, Version};

use super::{CommandError, Decision};
use crate::store::{Change, Store};

/// Certificates shorter than this would be renewed all the time (SwarmKit's
/// minimum).
const MIN_CERT_EXPIRY: Duration = Duration::from_secs(3600);

pub(super) fn decide(
    view: &Store,
    version: Version,
    spec: ClusterSpec,
    new_worker_token: Option<String>,
    new_manager_token: Option<String>,
) -> Result<Decision, CommandError> {
    let Some(cluster) = view.cluster() else {
        return Err(CommandError::not_found("cluster", DEFAULT_CLUSTER_NAME));
    };
    check(&spec, cluster.spec.ca.force_rotate)?;
    let mut cluster = Cluster::clone(cluster);
    cluster.meta.version = version;
    cluster.spec = spec;
    let tokens = &mut cluster.root_ca.join_tokens;
    if let Some(token) = new_worker_token {
        tokens.worker = token;
    }
    if let Some(token) = new_manager_token {
        tokens.manager = token;
    }
    Ok(Decision::done(vec![Change::UpdateCluster(Box::new(cluster))]))
}

/// Refuses settings no cluster may have. A new cluster is held to what every later update is,
/// or none would be taken.
///
/// # Errors
/// What is wrong with them.
pub fn check_new_cluster(spec: &ClusterSpec) -> Result<(), CommandError> {
    check(spec, 0)
}

/// `rotations` is how often the root certificate has been rotated.
fn check(spec: &ClusterSpec, rotations: u64) -> Result<(), CommandError> {
    let invalid = |text: &str| Err(CommandError::Invalid(text.to_owned()));
    if spec.annotations.name != DEFAULT_CLUSTER_NAME {
        return invalid("modification of cluster name is not allowed");
    }
    if spec.ca.node_cert_expiry < MIN_CERT_EXPIRY {
        return invalid("minimum certificate expiry time is: 1h0m0s");
    }
    if spec.dispatcher.heartbeat_period.is_zero() {
        return invalid("heartbeat time period cannot be a negative duration");
    }
    if spec.raft.election_tick <= spec.raft.heartbeat_tick {
        return invalid("election tick must be greater than heartbeat tick");
    }
    let missing = |what: &str| Err(CommandError::NotImplemented(what.to_owned()));
    if spec.encryption.auto_lock_managers {
        return missing("locking managers (autolock) is");
    }
    if spec.ca.force_rotate != rotations {
        return missing("rotation of the root certificate is");
    }
    Ok(())
}
