//! `POST /networks/create`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use shoal_engine::events::ObjectType;
use shoal_model::{Kind, NetworkId};
use shoal_network::{CreateNetwork, IpamRequest, PoolRequest};

use super::super::body::{self, JsonBody};
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::wire::wire;

wire!(
    /// The network asked for.
    CreateDocument {
        name: String = "Name",
        check_duplicate: bool = "CheckDuplicate",
        driver: String = "Driver",
        scope: String = "Scope",
        internal: bool = "Internal",
        attachable: bool = "Attachable",
        ingress: bool = "Ingress",
        enable_ipv4: Option<bool> = "EnableIPv4",
        enable_ipv6: bool = "EnableIPv6",
        ipam: IpamDocument = "IPAM",
        options: BTreeMap<String, String> = "Options",
        labels: BTreeMap<String, String> = "Labels",
    }
);

wire!(
    /// Its addresses.
    IpamDocument {
        driver: String = "Driver",
        options: BTreeMap<String, String> = "Options",
        pools: Vec<PoolDocument> = "Config",
    }
);

wire!(
    /// One pool of them.
    PoolDocument {
        subnet: String = "Subnet",
        ip_range: String = "IPRange",
        gateway: String = "Gateway",
        aux_addresses: BTreeMap<String, String> = "AuxiliaryAddresses",
    }
);

/// Makes a network.
pub(super) async fn create(State(front): App, body: JsonBody) -> Result<Response> {
    let document: CreateDocument = body::document(body).await?;
    let request = document.into_domain()?;
    let network = front.networks.create(request, fresh_id()?, front.now()).await?;
    let facts = [("name", network.name.as_str()), ("type", network.driver.as_str())];
    front.tell(ObjectType::Network, "create", network.id.as_str(), &facts);
    Ok(body::created(&json!({ "Id": network.id.as_str(), "Warning": "" })))
}

impl CreateDocument {
    fn into_domain(self) -> Result<CreateNetwork> {
        // Names are unique here, asked for or not.
        let _ = self.check_duplicate;
        if self.enable_ipv4 == Some(false) {
            return Err(ApiError::unsupported("a network without IPv4 (EnableIPv4, --ipv4=false)"));
        }
        Ok(CreateNetwork {
            name: self.name,
            driver: self.driver,
            internal: self.internal,
            attachable: self.attachable,
            ingress: self.ingress,
            enable_ipv6: self.enable_ipv6,
            scope: self.scope,
            ipam: self.ipam.into_domain(),
            options: self.options,
            labels: self.labels,
        })
    }
}

impl IpamDocument {
    fn into_domain(self) -> IpamRequest {
        let pool = |pool: PoolDocument| PoolRequest {
            subnet: pool.subnet,
            ip_range: pool.ip_range,
            gateway: pool.gateway,
            aux_addresses: pool.aux_addresses,
        };
        // The CLI sends one empty pool where none was asked for.
        let given = |pool: &PoolRequest| {
            !(pool.subnet.is_empty()
                && pool.ip_range.is_empty()
                && pool.gateway.is_empty()
                && pool.aux_addresses.is_empty())
        };
        IpamRequest {
            driver: self.driver,
            options: self.options,
            pools: self.pools.into_iter().map(pool).filter(given).collect(),
        }
    }
}

fn fresh_id() -> Result<NetworkId> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::new(Kind::Internal, format!("drawing an id: {error}")))?;
    Ok(NetworkId::from_bytes(bytes))
}
