//! Nodes of the swarm.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shoal_model::swarm::{
    Annotations, Availability, ManagerStatus, Membership, Node, NodeDescription, NodeRole,
    NodeSpec, Plugin, TlsDescription,
};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::placement::render_platform;
use super::resources::render_resources;
use super::{render_meta, set, set_list};

wire!(
    /// `POST /nodes/{id}/update`.
    NodeDocument {
        name: String = "Name",
        labels: BTreeMap<String, String> = "Labels",
        role: String = "Role",
        availability: String = "Availability",
    }
);

impl NodeDocument {
    /// The spec this document asks for.
    ///
    /// # Errors
    /// `Invalid` for an unknown role or availability.
    pub(crate) fn into_domain(self) -> Result<NodeSpec> {
        let Self { name, labels, role, availability } = self;
        Ok(NodeSpec {
            annotations: Annotations { name, labels },
            desired_role: match role.to_ascii_lowercase().as_str() {
                "worker" => NodeRole::Worker,
                "manager" => NodeRole::Manager,
                _ => return Err(ApiError::invalid(format!("invalid Role: {role:?}"))),
            },
            membership: Membership::Accepted,
            availability: read_availability(&availability)?,
        })
    }
}

/// Reads `active`, `pause` or `drain`; empty is active.
///
/// # Errors
/// `Invalid` for anything else.
pub(crate) fn read_availability(availability: &str) -> Result<Availability> {
    match availability.to_ascii_lowercase().as_str() {
        "" | "active" => Ok(Availability::Active),
        "pause" => Ok(Availability::Pause),
        "drain" => Ok(Availability::Drain),
        _ => Err(ApiError::invalid(format!("invalid Availability: {availability:?}"))),
    }
}

/// A node as Docker shows it.
pub(crate) fn render_node(node: &Node) -> Value {
    let mut document = render_meta(node.id.as_str(), &node.meta);
    document["Spec"] = render_spec(&node.spec);
    document["Description"] =
        node.description.as_ref().map_or_else(|| json!({}), render_description);
    let mut status = json!({ "State": node.status.state.as_str(), "Addr": node.status.addr });
    super::set_text(&mut status, "Message", &node.status.message);
    document["Status"] = status;
    set(&mut document, "ManagerStatus", node.manager_status.as_ref().map(render_manager));
    document
}

fn render_spec(spec: &NodeSpec) -> Value {
    let NodeSpec { annotations, desired_role, membership: _, availability } = spec;
    let mut document = json!({
        "Labels": annotations.labels,
        "Role": desired_role.as_str(),
        "Availability": availability.as_str(),
    });
    super::set_text(&mut document, "Name", &annotations.name);
    document
}

fn render_description(description: &NodeDescription) -> Value {
    let NodeDescription { hostname, platform, resources, engine, tls } = description;
    let mut engine_document = json!({ "EngineVersion": engine.version });
    set_list(&mut engine_document, "Labels", engine.labels.is_empty(), || json!(engine.labels));
    engine_document["Plugins"] = engine.plugins.iter().map(render_plugin).collect();
    json!({
        "Hostname": hostname,
        "Platform": platform.as_ref().map_or_else(|| json!({}), render_platform),
        "Resources": render_resources(resources),
        "Engine": engine_document,
        "TLSInfo": render_tls(tls),
    })
}

fn render_plugin(plugin: &Plugin) -> Value {
    let Plugin { kind, name } = plugin;
    json!({ "Type": kind, "Name": name })
}

/// A root certificate as Docker shows it; a node's equals its cluster's unless it is to be changed.
pub(super) fn render_tls(tls: &TlsDescription) -> Value {
    let TlsDescription { trust_root, issuer_subject, issuer_public_key } = tls;
    json!({
        "TrustRoot": String::from_utf8_lossy(trust_root),
        "CertIssuerSubject": STANDARD.encode(issuer_subject),
        "CertIssuerPublicKey": STANDARD.encode(issuer_public_key),
    })
}

fn render_manager(status: &ManagerStatus) -> Value {
    let ManagerStatus { raft_id: _, addr, leader, reachability } = status;
    let mut document = json!({ "Reachability": reachability.as_str(), "Addr": addr });
    super::set_flag(&mut document, "Leader", *leader);
    document
}
