//! Who may call which RPC.

use std::collections::BTreeMap;

use shoal_model::swarm::NodeRole;
use shoal_model::{Classify, ClusterId, Kind, SwarmNodeId, Timestamp};

/// Whom a verified client certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Common name: the node's id.
    pub common_name: String,
    /// Organisation: the cluster's id.
    pub organisation: String,
    /// Organisational unit: `swarm-worker` or `swarm-manager`.
    pub organisational_unit: String,
}

/// Who may call an RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Whoever connects, without a certificate, too.
    Anybody,
    /// Members with one of the two roles.
    Members,
    /// Managers.
    Managers,
}

/// Who called, after the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Someone unknown, where that is allowed.
    Anonymous,
    /// A member.
    Member {
        /// The node.
        node: SwarmNodeId,
        /// Its role.
        role: NodeRole,
    },
}

/// The caller may not call this (`PermissionDenied`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A certificate is needed.
    #[error("no client certificates in request")]
    NoCertificate,
    /// The certificate is another cluster's.
    #[error("remote certificate is not part of cluster {0}")]
    ForeignCluster(String),
    /// The node was removed.
    #[error("node {0} not found with valid membership")]
    Removed(String),
    /// The role does not allow it.
    #[error("remote certificate not authorized for {0}")]
    Role(String),
}

impl Classify for Denied {
    fn kind(&self) -> Kind {
        match self {
            Self::NoCertificate => Kind::Unauthorized,
            Self::ForeignCluster(_) | Self::Removed(_) | Self::Role(_) => Kind::Forbidden,
        }
    }
}

/// Who may call the RPC with this path (`/package.Service/Method`). What is
/// not listed is for managers.
pub fn right_for(path: &str) -> Right {
    let path = path.trim_start_matches('/');
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    match (service.rsplit('.').next().unwrap_or(service), method) {
        ("CA", "GetRootCACertificate") | ("NodeCA", _) => Right::Anybody,
        ("Dispatcher", _) | ("ResourceAllocator", _) => Right::Members,
        ("LogBroker", "ListenSubscriptions" | "PublishLogs") => Right::Members,
        _ => Right::Managers,
    }
}

/// Checks a caller against a right.
///
/// # Errors
/// The caller may not.
pub fn authorize(
    right: Right,
    peer: Option<&Peer>,
    cluster: &ClusterId,
    blacklist: &BTreeMap<String, Timestamp>,
) -> Result<Access, Denied> {
    let Some(peer) = peer else {
        return match right {
            Right::Anybody => Ok(Access::Anonymous),
            Right::Members | Right::Managers => Err(Denied::NoCertificate),
        };
    };
    match member(peer, cluster, blacklist) {
        Ok((_, NodeRole::Worker)) if right == Right::Managers => {
            Err(Denied::Role(peer.organisational_unit.clone()))
        }
        Ok((node, role)) => Ok(Access::Member { node, role }),
        // A node with an old certificate may still fetch the root and ask to
        // be let in again.
        Err(_) if right == Right::Anybody => Ok(Access::Anonymous),
        Err(denied) => Err(denied),
    }
}

fn member(
    peer: &Peer,
    cluster: &ClusterId,
    blacklist: &BTreeMap<String, Timestamp>,
) -> Result<(SwarmNodeId, NodeRole), Denied> {
    let Peer { common_name, organisation, organisational_unit } = peer;
    if organisation != cluster.as_str() {
        return Err(Denied::ForeignCluster(cluster.to_string()));
    }
    // Remembered until long after the certificate has run out by itself.
    if blacklist.contains_key(common_name) {
        return Err(Denied::Removed(common_name.clone()));
    }
    let role = [NodeRole::Worker, NodeRole::Manager]
        .into_iter()
        .find(|role| role.organisational_unit() == organisational_unit)
        .ok_or_else(|| Denied::Role(organisational_unit.clone()))?;
    let node = common_name.parse().map_err(|_| Denied::Removed(common_name.clone()))?;
    Ok((node, role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> ClusterId {
        ClusterId::from_bytes([1; 17])
    }

    fn peer(role: NodeRole) -> Peer {
        Peer {
            common_name: SwarmNodeId::from_bytes([2; 17]).to_string(),
            organisation: cluster().to_string(),
            organisational_unit: role.organisational_unit().to_owned(),
        }
    }

    fn ask(path: &str, peer: Option<&Peer>) -> Result<Access, Denied> {
        authorize(right_for(path), peer, &cluster(), &BTreeMap::new())
    }

    const SESSION: &str = "/docker.swarmkit.v1.Dispatcher/Session";
    const ROOT: &str = "/docker.swarmkit.v1.CA/GetRootCACertificate";
    const SIGN: &str = "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate";
    const CONTROL: &str = "/docker.swarmkit.v1.Control/CreateService";
    const SUBSCRIBE: &str = "/docker.swarmkit.v1.Logs/SubscribeLogs";
    const PUBLISH: &str = "/docker.swarmkit.v1.LogBroker/PublishLogs";
    const UNLOCK: &str = "/docker.swarmkit.v1.CA/GetUnlockKey";

    #[test]
    fn who_may_call_what() {
        let (worker, manager) = (peer(NodeRole::Worker), peer(NodeRole::Manager));
        for path in [ROOT, SIGN] {
            assert_eq!(ask(path, None), Ok(Access::Anonymous), "{path}");
        }
        for path in [SESSION, PUBLISH] {
            assert_eq!(ask(path, None), Err(Denied::NoCertificate));
            assert!(matches!(ask(path, Some(&worker)), Ok(Access::Member { .. })), "{path}");
            assert!(ask(path, Some(&manager)).is_ok());
        }
        for path in [CONTROL, SUBSCRIBE, UNLOCK, "/else/what", "garbage", ""] {
            assert_eq!(ask(path, None), Err(Denied::NoCertificate), "{path}");
            assert_eq!(ask(path, Some(&worker)), Err(Denied::Role("swarm-worker".into())));
            assert!(ask(path, Some(&manager)).is_ok());
        }
    }

    #[test]
    fn strangers_and_removed_nodes_are_refused() {
        let foreign = Peer { organisation: "other".into(), ..peer(NodeRole::Worker) };
        assert!(matches!(ask(SESSION, Some(&foreign)), Err(Denied::ForeignCluster(_))));
        assert_eq!(ask(SIGN, Some(&foreign)), Ok(Access::Anonymous), "it may ask to join");
        let odd = Peer { organisational_unit: "admin".into(), ..peer(NodeRole::Worker) };
        assert_eq!(ask(SESSION, Some(&odd)), Err(Denied::Role("admin".into())));
        let removed = peer(NodeRole::Worker);
        let blacklist = BTreeMap::from([(removed.common_name.clone(), Timestamp::from_seconds(0))]);
        assert!(matches!(
            authorize(Right::Members, Some(&removed), &cluster(), &blacklist),
            Err(Denied::Removed(_))
        ));
    }
}
