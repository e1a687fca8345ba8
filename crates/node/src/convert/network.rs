//! Networks a task is attached to, and its ports.

use shoal_model::swarm::{
    Endpoint, EndpointMode, EndpointSpec, NetworkAttachment, NetworkAttachmentSpec, PortConfig,
    PortProtocol, PublishMode, VirtualIp,
};

use super::{ConvertError, map_from_wire, map_to_wire};
use crate::wire;

/// The label that tells a Docker worker that a network is there already.
const PREDEFINED_LABEL: &str = "com.docker.swarm.predefined";

/// Attachments are to the networks every node has: a Docker worker wants the whole network
/// object with it, the driver's state above all.
pub(super) fn attachment_to_wire(attachment: &NetworkAttachment) -> wire::NetworkAttachment {
    let NetworkAttachment { network, addresses, aliases, driver_options } = attachment;
    let driver = wire::Driver { name: network.clone(), options: Default::default() };
    let labels = [(PREDEFINED_LABEL.to_owned(), "true".to_owned())].into();
    wire::NetworkAttachment {
        network: Some(wire::Network {
            id: network.clone(),
            meta: None,
            spec: Some(wire::NetworkSpec {
                annotations: Some(wire::Annotations {
                    name: network.clone(),
                    labels,
                    indices: Vec::new(),
                }),
                driver_config: Some(driver.clone()),
                ipv6_enabled: false,
                internal: false,
                ipam: None,
                attachable: false,
                ingress: false,
            }),
            driver_state: Some(driver),
            ipam: None,
        }),
        addresses: addresses.clone(),
        aliases: aliases.clone(),
        driver_attachment_opts: map_to_wire(driver_options),
    }
}

/// Only predefined networks can be attached to; an overlay is refused by name.
pub(super) fn attachment_from_wire(
    attachment: wire::NetworkAttachment,
) -> Result<NetworkAttachment, ConvertError> {
    let wire::NetworkAttachment { network, addresses, aliases, driver_attachment_opts } =
        attachment;
    let wire::Network { id: _, meta: _, spec, driver_state: _, ipam: _ } =
        network.ok_or(ConvertError::missing("network attachment's network"))?;
    let wire::NetworkSpec {
        annotations,
        driver_config,
        ipv6_enabled: _,
        internal: _,
        ipam: _,
        attachable: _,
        ingress,
    } = spec.unwrap_or_default();
    let wire::Annotations { name, labels, indices: _ } = annotations.unwrap_or_default();
    if ingress || !labels.contains_key(PREDEFINED_LABEL) {
        let driver = driver_config.map_or_else(String::new, |driver| driver.name);
        return Err(ConvertError::new(
            "network attachment",
            format!(
                "network {name} (driver {driver:?}) is not supported: only predefined networks are"
            ),
        ));
    }
    Ok(NetworkAttachment {
        network: name,
        addresses,
        aliases,
        driver_options: map_from_wire(driver_attachment_opts),
    })
}

pub(super) fn attachment_spec_to_wire(
    spec: &NetworkAttachmentSpec,
) -> wire::NetworkAttachmentConfig {
    let NetworkAttachmentSpec { target, aliases, driver_options } = spec;
    wire::NetworkAttachmentConfig {
        target: target.clone(),
        aliases: aliases.clone(),
        addresses: Vec::new(),
        driver_attachment_opts: map_to_wire(driver_options),
    }
}

pub(super) fn attachment_spec_from_wire(
    config: wire::NetworkAttachmentConfig,
) -> NetworkAttachmentSpec {
    let wire::NetworkAttachmentConfig { target, aliases, addresses: _, driver_attachment_opts } =
        config;
    NetworkAttachmentSpec { target, aliases, driver_options: map_from_wire(driver_attachment_opts) }
}

pub(super) fn endpoint_to_wire(endpoint: &Endpoint) -> wire::Endpoint {
    let Endpoint { spec: EndpointSpec { mode, ports: wanted }, ports, virtual_ips } = endpoint;
    let mode = match mode {
        EndpointMode::Vip => wire::ResolutionMode::VirtualIp,
        EndpointMode::DnsRoundRobin => wire::ResolutionMode::DnsRoundRobin,
    };
    wire::Endpoint {
        spec: Some(wire::EndpointSpec {
            mode: mode as i32,
            ports: wanted.iter().map(port_to_wire).collect(),
        }),
        ports: ports.iter().map(port_to_wire).collect(),
        virtual_ips: virtual_ips
            .iter()
            .map(|VirtualIp { network_id, addr }| wire::VirtualIp {
                network_id: network_id.clone(),
                addr: addr.clone(),
            })
            .collect(),
    }
}

pub(super) fn endpoint_from_wire(endpoint: wire::Endpoint) -> Result<Endpoint, ConvertError> {
    let wire::Endpoint { spec, ports, virtual_ips } = endpoint;
    let wire::EndpointSpec { mode, ports: wanted } = spec.unwrap_or_default();
    let mode = match wire::ResolutionMode::try_from(mode) {
        Ok(wire::ResolutionMode::VirtualIp) => EndpointMode::Vip,
        Ok(wire::ResolutionMode::DnsRoundRobin) => EndpointMode::DnsRoundRobin,
        Err(error) => return Err(ConvertError::new("endpoint mode", error)),
    };
    let all = |ports: Vec<wire::PortConfig>| -> Result<Vec<PortConfig>, ConvertError> {
        ports.into_iter().map(port_from_wire).collect()
    };
    let ips = virtual_ips
        .into_iter()
        .map(|wire::VirtualIp { network_id, addr }| VirtualIp { network_id, addr });
    Ok(Endpoint {
        spec: EndpointSpec { mode, ports: all(wanted)? },
        ports: all(ports)?,
        virtual_ips: ips.collect(),
    })
}

/// A port of a service or task.
pub fn port_to_wire(port: &PortConfig) -> wire::PortConfig {
    let PortConfig { name, protocol, target_port, published_port, publish_mode } = port;
    let protocol = match protocol {
        PortProtocol::Tcp => wire::PortProtocol::Tcp,
        PortProtocol::Udp => wire::PortProtocol::Udp,
        PortProtocol::Sctp => wire::PortProtocol::Sctp,
    };
    let mode = match publish_mode {
        PublishMode::Ingress => wire::PublishMode::Ingress,
        PublishMode::Host => wire::PublishMode::Host,
    };
    wire::PortConfig {
        name: name.clone(),
        protocol: protocol as i32,
        target_port: u32::from(*target_port),
        published_port: u32::from(*published_port),
        publish_mode: mode as i32,
    }
}

/// A port from a peer.
pub fn port_from_wire(port: wire::PortConfig) -> Result<PortConfig, ConvertError> {
    let wire::PortConfig { name, protocol, target_port, published_port, publish_mode } = port;
    let protocol = match wire::PortProtocol::try_from(protocol) {
        Ok(wire::PortProtocol::Tcp) => PortProtocol::Tcp,
        Ok(wire::PortProtocol::Udp) => PortProtocol::Udp,
        Ok(wire::PortProtocol::Sctp) => PortProtocol::Sctp,
        Err(error) => return Err(ConvertError::new("port protocol", error)),
    };
    let publish_mode = match wire::PublishMode::try_from(publish_mode) {
        Ok(wire::PublishMode::Ingress) => PublishMode::Ingress,
        Ok(wire::PublishMode::Host) => PublishMode::Host,
        Err(error) => return Err(ConvertError::new("publish mode", error)),
    };
    let number = |port: u32| u16::try_from(port).map_err(|error| ConvertError::new("port", error));
    Ok(PortConfig {
        name,
        protocol,
        target_port: number(target_port)?,
        published_port: number(published_port)?,
        publish_mode,
    })
}
