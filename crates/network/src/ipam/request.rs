//! From the address part of a request to checked pools. Pure.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::{
    NetworkError, Result,
    config::AddressPool,
    spec::{IpamRequest, NetworkIpam, PoolRequest, PoolSpec},
    subnet::Subnet,
};

/// Checks `request`, or takes the first default pool that meets neither
/// `networks` (what other networks use) nor `routes` (what the node reaches
/// otherwise).
pub(crate) fn choose(
    request: &IpamRequest,
    defaults: &[AddressPool],
    networks: &[Subnet],
    routes: &[Subnet],
) -> Result<NetworkIpam> {
    if !matches!(request.driver.as_str(), "" | "default") {
        return Err(NetworkError::NotImplemented(format!("ipam driver {}", request.driver)));
    }
    if let Some(option) = request.options.keys().next() {
        return Err(NetworkError::NotImplemented(format!("ipam option {option}")));
    }
    let (pool, user_subnet) = match request.pools.as_slice() {
        [] => (unnamed(&PoolRequest::default(), defaults, networks, routes)?, false),
        [one] if one.subnet.is_empty() => (unnamed(one, defaults, networks, routes)?, false),
        [one] => (named(one, networks)?, true),
        _ => return Err(NetworkError::NotImplemented("more than one subnet in a network".into())),
    };
    Ok(NetworkIpam { pools: vec![pool], user_subnet })
}

/// The first free block of the defaults.
pub(crate) fn default_pool(
    defaults: &[AddressPool],
    networks: &[Subnet],
    routes: &[Subnet],
) -> Result<Subnet> {
    let taken = |block: &Subnet| networks.iter().chain(routes).any(|t| t.overlaps(*block));
    defaults
        .iter()
        .flat_map(|pool| pool.base.blocks(pool.size))
        .find(|block| !taken(block))
        .ok_or(NetworkError::PoolsExhausted)
}

fn unnamed(
    request: &PoolRequest,
    defaults: &[AddressPool],
    networks: &[Subnet],
    routes: &[Subnet],
) -> Result<PoolSpec> {
    let given = !request.ip_range.is_empty()
        || !request.gateway.is_empty()
        || !request.aux_addresses.is_empty();
    if given {
        return Err(invalid("a range, gateway or auxiliary address needs a subnet"));
    }
    let subnet = default_pool(defaults, networks, routes)?;
    Ok(PoolSpec {
        subnet,
        ip_range: None,
        gateway: first_host(subnet),
        aux_addresses: BTreeMap::new(),
    })
}

fn named(request: &PoolRequest, networks: &[Subnet]) -> Result<PoolSpec> {
    if request.subnet.contains(':') {
        return Err(NetworkError::NotImplemented(format!("IPv6 subnet {}", request.subnet)));
    }
    let subnet: Subnet =
        request.subnet.parse().map_err(|e| invalid(&format!("invalid subnet: {e}")))?;
    // Below that there is no room for a gateway and a container.
    if !(1..=31).contains(&subnet.prefix()) {
        return Err(invalid(&format!("invalid subnet {subnet}: no room for containers")));
    }
    if networks.iter().any(|n| n.overlaps(subnet)) {
        return Err(NetworkError::Overlap);
    }
    let ip_range = match request.ip_range.as_str() {
        "" => None,
        text => Some(range(text, subnet)?),
    };
    let aux_addresses = auxiliary(&request.aux_addresses, subnet)?;
    let gateway = match request.gateway.as_str() {
        "" => free_gateway(subnet, ip_range, &aux_addresses)?,
        text => address("gateway", text, subnet)?,
    };
    if aux_addresses.values().any(|a| *a == gateway) {
        return Err(NetworkError::AddressInUse(gateway));
    }
    Ok(PoolSpec { subnet, ip_range, gateway, aux_addresses })
}

fn range(text: &str, subnet: Subnet) -> Result<Subnet> {
    let range: Subnet = text.parse().map_err(|e| invalid(&format!("invalid ip-range: {e}")))?;
    if subnet.covers(range) {
        Ok(range)
    } else {
        Err(invalid(&format!("invalid ip-range {text}: parent subnet is {subnet}")))
    }
}

fn auxiliary(
    texts: &BTreeMap<String, String>,
    subnet: Subnet,
) -> Result<BTreeMap<String, Ipv4Addr>> {
    texts
        .iter()
        .map(|(name, text)| Ok((name.clone(), address("auxiliary address", text, subnet)?)))
        .collect()
}

fn address(what: &str, text: &str, subnet: Subnet) -> Result<Ipv4Addr> {
    let address: Ipv4Addr =
        text.parse().map_err(|_| invalid(&format!("invalid {what} {text:?}")))?;
    let host = subnet.prefix() == 31 || (address != subnet.base() && address != subnet.last());
    if subnet.contains(address) && host {
        Ok(address)
    } else {
        Err(invalid(&format!("invalid {what} {text}: not a host's address in subnet {subnet}")))
    }
}

/// The first address of the range (or the network) nobody was promised.
fn free_gateway(
    subnet: Subnet,
    range: Option<Subnet>,
    aux: &BTreeMap<String, Ipv4Addr>,
) -> Result<Ipv4Addr> {
    let pool = PoolSpec {
        subnet,
        ip_range: range,
        // Reserved anyhow: no address is lost by it.
        gateway: if subnet.prefix() < 31 { subnet.base() } else { Ipv4Addr::BROADCAST },
        aux_addresses: aux.clone(),
    };
    super::Allocator::new(&pool)
        .any()
        .map_err(|_| invalid(&format!("no address left for the gateway of subnet {subnet}")))
}

fn first_host(subnet: Subnet) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(subnet.base()) + 1)
}

fn invalid(text: &str) -> NetworkError {
    NetworkError::Invalid(text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::NetworkConfig;

    fn ask(subnet: &str) -> PoolRequest {
        PoolRequest { subnet: subnet.into(), ..PoolRequest::default() }
    }

    fn one(pool: PoolRequest, networks: &[Subnet]) -> Result<PoolSpec> {
        let request = IpamRequest { pools: vec![pool], ..IpamRequest::default() };
        let mut ipam = choose(&request, &NetworkConfig::default().pools, networks, &[])?;
        Ok(ipam.pools.remove(0))
    }

    fn nets(texts: &[&str]) -> Vec<Subnet> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn defaults_are_dockers_in_order() {
        let defaults = NetworkConfig::default().pools;
        let mut taken = Vec::new();
        while let Ok(subnet) = default_pool(&defaults, &taken, &[]) {
            taken.push(subnet);
        }
        assert_eq!(taken.len(), 15 + 16);
        assert_eq!(taken[..2], nets(&["172.17.0.0/16", "172.18.0.0/16"]));
        assert_eq!(taken[15..17], nets(&["192.168.0.0/20", "192.168.16.0/20"]));
        let error = default_pool(&defaults, &taken, &[]).unwrap_err();
        assert_eq!(error.to_string(), "all predefined address pools have been fully subnetted");
    }

    #[test]
    fn defaults_avoid_what_the_node_reaches() {
        let defaults = NetworkConfig::default().pools;
        let subnet = default_pool(&defaults, &[], &nets(&["172.16.0.0/14"])).unwrap();
        assert_eq!(subnet.to_string(), "172.20.0.0/16");
    }

    #[test]
    fn gateways() {
        assert_eq!(one(ask("10.5.0.0/24"), &[]).unwrap().gateway, Ipv4Addr::from([10, 5, 0, 1]));
        let mut ranged = ask("10.5.0.0/24");
        ranged.ip_range = "10.5.0.128/25".into();
        assert_eq!(one(ranged, &[]).unwrap().gateway, Ipv4Addr::from([10, 5, 0, 128]));
        let mut aux = ask("10.5.0.0/24");
        aux.aux_addresses.insert("a".into(), "10.5.0.1".into());
        assert_eq!(one(aux.clone(), &[]).unwrap().gateway, Ipv4Addr::from([10, 5, 0, 2]));
        aux.gateway = "10.5.0.1".into();
        assert_eq!(one(aux, &[]).unwrap_err().to_string(), "Address already in use");
        assert_eq!(one(ask("10.0.0.0/31"), &[]).unwrap().gateway, Ipv4Addr::from([10, 0, 0, 0]));
    }

    #[test]
    fn wrong_requests() {
        let mut cases = vec![ask("10.0.0.0"), ask("10.0.0.0/33"), ask("x/8"), ask("10.0.0.1/32")];
        for (range, gateway, aux) in [
            ("10.1.0.0/16", "", ""),
            ("", "10.1.0.1", ""),
            ("", "10.0.0.0", ""),
            ("", "10.0.0.255", ""),
            ("", "", "10.1.0.1"),
            ("", "", "zero"),
        ] {
            let mut case = ask("10.0.0.0/24");
            case.ip_range = range.into();
            case.gateway = gateway.into();
            if !aux.is_empty() {
                case.aux_addresses.insert("a".into(), aux.into());
            }
            cases.push(case);
        }
        cases.push(PoolRequest { gateway: "10.0.0.1".into(), ..PoolRequest::default() });
        for case in cases {
            let error = one(case.clone(), &[]).unwrap_err();
            assert!(matches!(error, NetworkError::Invalid(_)), "{case:?}: {error}");
        }
        let error = one(ask("fd00::/64"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "IPv6 subnet fd00::/64 is not supported");
    }

    #[test]
    fn overlaps_have_dockers_text() {
        let error = one(ask("172.17.5.0/24"), &nets(&["172.17.0.0/16"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid pool request: Pool overlaps with other one on this address space"
        );
    }

    proptest! {
        /// Whatever is accepted is sound: gateway and range inside, no overlap.
        #[test]
        fn what_is_accepted_is_sound(
            base: [u8; 4], prefix in 0u8..=33, range_base: [u8; 4], range_prefix in 0u8..=33,
            with_range: bool, other: [u8; 4], other_prefix in 0u8..=32,
        ) {
            let text = |a: [u8; 4], p: u8| format!("{}/{p}", Ipv4Addr::from(a));
            let mut pool = ask(&text(base, prefix));
            if with_range {
                pool.ip_range = text(range_base, range_prefix);
            }
            let other = Subnet::of(other.into(), other_prefix);
            if let Ok(spec) = one(pool, &[other]) {
                prop_assert!(!spec.subnet.overlaps(other));
                prop_assert!(spec.subnet.contains(spec.gateway));
                prop_assert!(spec.ip_range.is_none_or(|r| spec.subnet.covers(r)));
                let mut all = super::super::Allocator::new(&spec);
                if let Ok(first) = all.any() {
                    prop_assert!(spec.subnet.contains(first) && first != spec.gateway);
                }
            }
        }
    }
}
