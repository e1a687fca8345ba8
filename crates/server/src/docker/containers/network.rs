//! How a container joins networks, both ways.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};
use shoal_engine::domain::{BoundPort, EndpointOptions, EndpointView, Port};

use super::super::error::{ApiError, Result};
use super::super::wire::wire;

wire!(
    /// `NetworkingConfig`.
    NetworkingDocument { endpoints: BTreeMap<String, EndpointDocument> = "EndpointsConfig" }
);

wire!(
    /// `EndpointConfig`: what may be asked for, and what clients copy back from
    /// an inspected container (addresses as they were; without effect).
    EndpointDocument {
        ipam: IpamDocument = "IPAMConfig",
        aliases: Vec<String> = "Aliases",
        mac_address: String = "MacAddress",
        network_id: String = "NetworkID",
        endpoint_id: String = "EndpointID",
        gateway: String = "Gateway",
        ip_address: String = "IPAddress",
        prefix_len: i64 = "IPPrefixLen",
        ipv6_gateway: String = "IPv6Gateway",
        ipv6_address: String = "GlobalIPv6Address",
        ipv6_prefix_len: i64 = "GlobalIPv6PrefixLen",
        dns_names: Vec<String> = "DNSNames",
    }
);

wire!(
    /// Addresses asked for.
    IpamDocument { ipv4: String = "IPv4Address", ipv6: String = "IPv6Address" }
);

impl EndpointDocument {
    /// The options this document asks for.
    ///
    /// # Errors
    /// `Invalid` for what is no address.
    pub(crate) fn into_domain(self) -> Result<EndpointOptions> {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let ipv4 = given(self.ipam.ipv4).map(|text| {
            text.parse::<Ipv4Addr>()
                .map_err(|_| ApiError::invalid(format!("invalid IPv4 address: {text}")))
        });
        let ipv6 = given(self.ipam.ipv6).map(|text| {
            text.parse::<Ipv6Addr>()
                .map_err(|_| ApiError::invalid(format!("invalid IPv6 address: {text}")))
        });
        Ok(EndpointOptions {
            aliases: self.aliases,
            ipv4_address: ipv4.transpose()?,
            ipv6_address: ipv6.transpose()?,
            mac_address: given(self.mac_address),
        })
    }
}

/// A container's place in one network as Docker shows it.
pub(super) fn render_endpoint(endpoint: &EndpointView) -> Value {
    let EndpointView {
        network_id,
        endpoint_id,
        ip_address,
        prefix_len,
        gateway,
        mac_address,
        dns_names,
        options,
    } = endpoint;
    let or_empty =
        |address: &Option<Ipv4Addr>| address.map(|ip| ip.to_string()).unwrap_or_default();
    json!({
        "IPAMConfig": render_ipam(options),
        "Links": null,
        "Aliases": if options.aliases.is_empty() { Value::Null } else { json!(options.aliases) },
        "MacAddress": mac_address,
        "DriverOpts": null,
        "GwPriority": 0,
        "NetworkID": network_id.as_ref().map(|id| id.as_str()).unwrap_or_default(),
        "EndpointID": endpoint_id,
        "Gateway": or_empty(gateway),
        "IPAddress": or_empty(ip_address),
        "IPPrefixLen": prefix_len,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": if dns_names.is_empty() { Value::Null } else { json!(dns_names) },
    })
}

fn render_ipam(options: &EndpointOptions) -> Value {
    let mut document = Map::new();
    if let Some(address) = options.ipv4_address {
        document.insert("IPv4Address".to_owned(), json!(address));
    }
    if let Some(address) = options.ipv6_address {
        document.insert("IPv6Address".to_owned(), json!(address));
    }
    if document.is_empty() { Value::Null } else { Value::Object(document) }
}

/// All networks of a container by name.
pub(super) fn render_networks(networks: &BTreeMap<String, EndpointView>) -> Value {
    let render =
        |(name, endpoint): (&String, &EndpointView)| (name.clone(), render_endpoint(endpoint));
    Value::Object(networks.iter().map(render).collect())
}

/// Ports as `inspect` shows them: null for one that is not published.
pub(super) fn render_ports(ports: &BTreeMap<Port, Vec<BoundPort>>) -> Value {
    let render_port = |port: &BoundPort| json!({ "HostIp": port.host_ip.to_string(), "HostPort": port.host_port.to_string() });
    let render = |(port, bound): (&Port, &Vec<BoundPort>)| {
        let bindings: Vec<Value> = bound.iter().map(render_port).collect();
        let value = if bindings.is_empty() { Value::Null } else { Value::Array(bindings) };
        (port.to_string(), value)
    };
    Value::Object(ports.iter().map(render).collect())
}

/// Ports as a list shows them.
pub(super) fn summarise_ports(ports: &BTreeMap<Port, Vec<BoundPort>>) -> Value {
    let mut entries = Vec::new();
    for (port, bound) in ports {
        let entry = json!({ "PrivatePort": port.number, "Type": port.protocol.to_string() });
        if bound.is_empty() {
            entries.push(entry.clone());
        }
        for bound in bound {
            let mut entry = entry.clone();
            entry["IP"] = json!(bound.host_ip);
            entry["PublicPort"] = json!(bound.host_port);
            entries.push(entry);
        }
    }
    Value::Array(entries)
}
