//! A network as Docker shows it.

use serde_json::{Map, Value, json};
use shoal_network::{EndpointView, Network, NetworkIpam, NetworkView, PoolSpec};

/// A network; `whole` says with the containers in it.
pub(super) fn render(view: &NetworkView, whole: bool) -> Value {
    let Network { id, name, created, driver, internal, attachable, ipam, options, labels } =
        &*view.network;
    let containers: Map<String, Value> = match whole {
        true => view.endpoints.iter().map(render_endpoint).collect(),
        false => Map::new(),
    };
    json!({
        "Name": name,
        "Id": id.as_str(),
        "Created": created.rfc3339_nano(),
        "Scope": view.network.scope(),
        "Driver": driver.as_str(),
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": render_ipam(ipam),
        "Internal": internal,
        "Attachable": attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": options,
        "Labels": labels,
    })
}

fn render_ipam(ipam: &NetworkIpam) -> Value {
    let pools: Vec<Value> = ipam.pools.iter().map(render_pool).collect();
    json!({ "Driver": "default", "Options": null, "Config": super::or_null(pools.is_empty(), || json!(pools)) })
}

fn render_pool(pool: &PoolSpec) -> Value {
    let PoolSpec { subnet, ip_range, gateway, aux_addresses } = pool;
    let mut document = json!({ "Subnet": subnet.to_string(), "Gateway": gateway.to_string() });
    if let Some(range) = ip_range {
        document["IPRange"] = json!(range.to_string());
    }
    if !aux_addresses.is_empty() {
        document["AuxiliaryAddresses"] = json!(aux_addresses);
    }
    document
}

fn render_endpoint(view: &EndpointView) -> (String, Value) {
    let EndpointView { container, name, endpoint } = view;
    let address = match endpoint.prefix {
        0 => String::new(),
        prefix => format!("{}/{prefix}", endpoint.ipv4),
    };
    let document = json!({
        "Name": name,
        "EndpointID": endpoint.endpoint_id,
        "MacAddress": endpoint.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        "IPv4Address": address,
        "IPv6Address": "",
    });
    (container.to_string(), document)
}
