//! How a service is reached.

use serde_json::{Value, json};
use shoal_model::swarm::{
    Endpoint, EndpointMode, EndpointSpec, PortConfig, PortProtocol, PublishMode, VirtualIp,
};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;
use super::{set, set_list, set_text};

wire!(
    /// `EndpointSpec`.
    EndpointDocument { mode: String = "Mode", ports: Vec<PortDocument> = "Ports" }
);

wire!(
    /// One of `Ports`.
    PortDocument {
        name: String = "Name",
        protocol: String = "Protocol",
        target: u64 = "TargetPort",
        published: u64 = "PublishedPort",
        mode: String = "PublishMode",
    }
);

impl EndpointDocument {
    /// The endpoint this document asks for.
    pub(super) fn into_domain(self) -> Result<EndpointSpec> {
        let mode = match self.mode.as_str() {
            "" | "vip" => EndpointMode::Vip,
            "dnsrr" => EndpointMode::DnsRoundRobin,
            other => return Err(ApiError::invalid(format!("invalid EndpointSpec.Mode {other:?}"))),
        };
        let ports = self.ports.into_iter().map(PortDocument::into_domain).collect::<Result<_>>()?;
        Ok(EndpointSpec { mode, ports })
    }
}

impl PortDocument {
    fn into_domain(self) -> Result<PortConfig> {
        let Self { name, protocol, target, published, mode } = self;
        let port = |number: u64| {
            u16::try_from(number).map_err(|_| ApiError::invalid(format!("invalid port {number}")))
        };
        Ok(PortConfig {
            name,
            protocol: match protocol.as_str() {
                "" | "tcp" => PortProtocol::Tcp,
                "udp" => PortProtocol::Udp,
                "sctp" => PortProtocol::Sctp,
                other => {
                    return Err(ApiError::invalid(format!("invalid protocol value {other:?}")));
                }
            },
            target_port: port(target)?,
            published_port: port(published)?,
            publish_mode: match mode.as_str() {
                "" | "ingress" => PublishMode::Ingress,
                "host" => PublishMode::Host,
                other => return Err(ApiError::invalid(format!("invalid publish mode {other:?}"))),
            },
        })
    }
}

/// An endpoint's spec as Docker shows it.
pub(super) fn render_spec(spec: &EndpointSpec) -> Value {
    let EndpointSpec { mode, ports } = spec;
    let mut document = json!({ "Mode": mode.as_str() });
    set_list(&mut document, "Ports", ports.is_empty(), || ports.iter().map(render_port).collect());
    document
}

/// An endpoint as Docker shows it.
pub(crate) fn render_endpoint(endpoint: Option<&Endpoint>) -> Value {
    let Some(Endpoint { spec, ports, virtual_ips }) = endpoint else {
        return json!({ "Spec": {} });
    };
    let mut document = json!({ "Spec": render_spec(spec) });
    set_list(&mut document, "Ports", ports.is_empty(), || ports.iter().map(render_port).collect());
    set_list(&mut document, "VirtualIPs", virtual_ips.is_empty(), || {
        virtual_ips.iter().map(render_address).collect()
    });
    document
}

/// A published port as Docker shows it.
pub(crate) fn render_port(port: &PortConfig) -> Value {
    let PortConfig { name, protocol, target_port, published_port, publish_mode } = port;
    let mut document = json!({ "Protocol": protocol.as_str(), "TargetPort": target_port });
    set_text(&mut document, "Name", name);
    set(&mut document, "PublishedPort", (*published_port != 0).then(|| json!(published_port)));
    document["PublishMode"] = json!(publish_mode.as_str());
    document
}

fn render_address(address: &VirtualIp) -> Value {
    let VirtualIp { network_id, addr } = address;
    json!({ "NetworkID": network_id, "Addr": addr })
}
