//! Nodes and how they describe themselves.

use shoal_model::Platform;
use shoal_model::swarm::{
    Availability, Certificate, EngineDescription, IssuanceState, ManagerStatus, Membership, Node,
    NodeDescription, NodeRole, NodeSpec, NodeState, NodeStatus, Plugin, Reachability,
    TlsDescription,
};

use super::{
    annotations_to_wire, map_from_wire, map_to_wire, meta_to_wire, resources_from_wire,
    resources_to_wire,
};
use crate::wire;

/// The node as its worker is told about it.
pub fn node_to_wire(node: &Node) -> wire::Node {
    let Node { id, meta, spec, description, status, manager_status, certificate, role } = node;
    wire::Node {
        id: id.to_string(),
        meta: Some(meta_to_wire(meta)),
        spec: Some(spec_to_wire(spec)),
        description: description.as_ref().map(description_to_wire),
        status: Some(status_to_wire(status)),
        manager_status: manager_status.as_ref().map(manager_to_wire),
        attachment: None,
        certificate: Some(certificate_to_wire(certificate)),
        role: role_to_wire(*role) as i32,
        // An attachment makes a Docker worker set up overlay networks.
        attachments: Vec::new(),
        vxlan_udp_port: 0,
    }
}

fn spec_to_wire(spec: &NodeSpec) -> wire::NodeSpec {
    let NodeSpec { annotations, desired_role, membership, availability } = spec;
    let membership = match membership {
        Membership::Pending => wire::NodeMembership::Pending,
        Membership::Accepted => wire::NodeMembership::Accepted,
    };
    let availability = match availability {
        Availability::Active => wire::NodeAvailability::Active,
        Availability::Pause => wire::NodeAvailability::Pause,
        Availability::Drain => wire::NodeAvailability::Drain,
    };
    wire::NodeSpec {
        annotations: Some(annotations_to_wire(annotations)),
        desired_role: role_to_wire(*desired_role) as i32,
        membership: membership as i32,
        availability: availability as i32,
    }
}

fn status_to_wire(status: &NodeStatus) -> wire::NodeStatus {
    let NodeStatus { state, message, addr, since: _ } = status;
    let state = match state {
        NodeState::Unknown => wire::NodeState::Unknown,
        NodeState::Down => wire::NodeState::Down,
        NodeState::Ready => wire::NodeState::Ready,
        NodeState::Disconnected => wire::NodeState::Disconnected,
    };
    wire::NodeStatus { state: state as i32, message: message.clone(), addr: addr.clone() }
}

fn manager_to_wire(status: &ManagerStatus) -> wire::ManagerStatus {
    let ManagerStatus { raft_id, addr, leader, reachability } = status;
    let reachability = match reachability {
        Reachability::Unknown => 0,
        Reachability::Unreachable => 1,
        Reachability::Reachable => 2,
    };
    wire::ManagerStatus { raft_id: *raft_id, addr: addr.clone(), leader: *leader, reachability }
}

fn role_to_wire(role: NodeRole) -> wire::NodeRole {
    match role {
        NodeRole::Worker => wire::NodeRole::Worker,
        NodeRole::Manager => wire::NodeRole::Manager,
    }
}

/// A certificate and how far its issue has come.
pub(crate) fn certificate_to_wire(certificate: &Certificate) -> wire::Certificate {
    let Certificate { role, csr_pem, state, err, certificate_pem, common_name } = certificate;
    wire::Certificate {
        role: role_to_wire(*role) as i32,
        csr: csr_pem.clone(),
        status: Some(issuance_to_wire(*state, err)),
        certificate: certificate_pem.clone(),
        cn: common_name.clone(),
    }
}

/// How far an issue has come.
pub(crate) fn issuance_to_wire(state: IssuanceState, err: &str) -> wire::IssuanceStatus {
    let state = match state {
        IssuanceState::Unknown => wire::IssuanceState::Unknown,
        IssuanceState::Renew => wire::IssuanceState::Renew,
        IssuanceState::Pending => wire::IssuanceState::Pending,
        IssuanceState::Issued => wire::IssuanceState::Issued,
        IssuanceState::Failed => wire::IssuanceState::Failed,
        IssuanceState::Rotate => wire::IssuanceState::Rotate,
    };
    wire::IssuanceStatus { state: state as i32, err: err.to_owned() }
}

/// What a node says about itself, on its way to the manager.
pub fn description_to_wire(description: &NodeDescription) -> wire::NodeDescription {
    let NodeDescription { hostname, platform, resources, engine, tls } = description;
    let EngineDescription { version, labels, plugins } = engine;
    let TlsDescription { trust_root, issuer_subject, issuer_public_key } = tls;
    wire::NodeDescription {
        hostname: hostname.clone(),
        platform: platform.as_ref().map(platform_to_wire),
        resources: Some(resources_to_wire(resources)),
        engine: Some(wire::EngineDescription {
            engine_version: version.clone(),
            labels: map_to_wire(labels),
            plugins: plugins
                .iter()
                .map(|Plugin { kind, name }| wire::PluginDescription {
                    r#type: kind.clone(),
                    name: name.clone(),
                })
                .collect(),
        }),
        tls_info: Some(wire::NodeTlsInfo {
            trust_root: trust_root.clone(),
            cert_issuer_subject: issuer_subject.clone(),
            cert_issuer_public_key: issuer_public_key.clone(),
        }),
        fips: false,
    }
}

/// What a node says about itself, on the manager.
pub fn description_from_wire(description: wire::NodeDescription) -> NodeDescription {
    let wire::NodeDescription { hostname, platform, resources, engine, tls_info, fips: _ } =
        description;
    let wire::EngineDescription { engine_version, labels, plugins } = engine.unwrap_or_default();
    let wire::NodeTlsInfo { trust_root, cert_issuer_subject, cert_issuer_public_key } =
        tls_info.unwrap_or_default();
    NodeDescription {
        hostname,
        platform: platform.map(platform_from_wire),
        resources: resources_from_wire(resources.unwrap_or_default()),
        engine: EngineDescription {
            version: engine_version,
            labels: map_from_wire(labels),
            plugins: plugins
                .into_iter()
                .map(|wire::PluginDescription { r#type, name }| Plugin { kind: r#type, name })
                .collect(),
        },
        tls: TlsDescription {
            trust_root,
            issuer_subject: cert_issuer_subject,
            issuer_public_key: cert_issuer_public_key,
        },
    }
}

/// Docker's engines name architectures as `uname` does.
pub(super) fn platform_to_wire(platform: &Platform) -> wire::Platform {
    let architecture = match platform.architecture.as_str() {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    };
    wire::Platform { architecture: architecture.to_owned(), os: platform.os.clone() }
}

pub(super) fn platform_from_wire(platform: wire::Platform) -> Platform {
    let wire::Platform { architecture, os } = platform;
    Platform { os, architecture, variant: String::new() }
}
