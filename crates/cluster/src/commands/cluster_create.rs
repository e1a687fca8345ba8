//! The birth of a cluster.

use shoal_model::swarm::Cluster;

use super::{CommandError, Decision};
use crate::store::{ApplyError, Change, Store};

pub(super) fn decide(view: &Store, cluster: Cluster) -> Result<Decision, CommandError> {
    if let Some(there) = view.cluster() {
        let id = there.id.to_string();
        return Err(ApplyError::AlreadyExists { what: "cluster", id }.into());
    }
    Ok(Decision::done(vec![Change::CreateCluster(Box::new(cluster))]))
}
