//! What `docker info` shows about the cluster.

use super::{Member, Node, Place};
use crate::agent::Contact;
use crate::api::{LocalNodeState, ManagerPeer, SwarmInfo};

impl Node {
    /// Where this node stands.
    pub async fn info(&self) -> SwarmInfo {
        let member = match &*self.place() {
            Place::Inactive => return SwarmInfo::default(),
            Place::Joining(joining) => {
                let unnamed =
                    |addr: &String| ManagerPeer { node_id: String::new(), addr: addr.clone() };
                return SwarmInfo {
                    state: LocalNodeState::Pending,
                    node_addr: host(&joining.advertise_addr),
                    remote_managers: joining.addrs.iter().map(unnamed).collect(),
                    ..SwarmInfo::default()
                };
            }
            Place::Broken(error) => {
                return SwarmInfo {
                    state: LocalNodeState::Error,
                    error: error.clone(),
                    ..SwarmInfo::default()
                };
            }
            Place::Member(member) => std::sync::Arc::clone(member),
        };
        of_member(&member)
    }
}

fn of_member(member: &Member) -> SwarmInfo {
    let identity = member.credentials.current();
    let (state, error) = match &*member.contact.borrow() {
        Contact::Connected => (LocalNodeState::Active, String::new()),
        Contact::Connecting => (LocalNodeState::Pending, String::new()),
        Contact::Lost { why, reached_before: false } => (LocalNodeState::Pending, why.clone()),
        Contact::Lost { why, reached_before: true } => (LocalNodeState::Active, why.clone()),
    };
    let mut info = SwarmInfo {
        state,
        node_id: identity.identity.name().node.parse().ok(),
        node_addr: host(&member.advertise_addr),
        error,
        remote_managers: member.managers.all(),
        ..SwarmInfo::default()
    };
    if let Some(manager) = &member.manager {
        let view = manager.lead.consensus.local();
        info.state = LocalNodeState::Active;
        info.control_available = true;
        info.nodes = view.nodes().len();
        info.managers = view.nodes().filter(|node| node.manager_status.is_some()).count();
        info.cluster = view.cluster().map(|cluster| (**cluster).clone());
        info.remote_managers = view
            .nodes()
            .filter_map(|node| {
                let status = node.manager_status.as_ref()?;
                Some(ManagerPeer { node_id: node.id.to_string(), addr: status.addr.clone() })
            })
            .collect();
    }
    info
}

/// The address without its port.
pub(super) fn host(addr: &str) -> String {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    host.trim_matches(['[', ']']).to_owned()
}
