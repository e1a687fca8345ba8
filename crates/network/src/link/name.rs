//! What links are called. Pure: the same object has the same name after a
//! restart.

use shoal_model::NetworkId;

use crate::spec::Network;

/// Longest name of a link (the kernel's IFNAMSIZ less the final zero).
pub(crate) const LINK_NAME_MAX_BYTES: usize = 15;
/// Characters of the network's id in the name of its bridge.
const BRIDGE_ID_CHARACTERS: usize = 12;
/// Longest prefix of bridges' names.
pub(crate) const BRIDGE_PREFIX_MAX_BYTES: usize = LINK_NAME_MAX_BYTES - BRIDGE_ID_CHARACTERS;
/// Docker's option for the name of the bridge.
pub(crate) const BRIDGE_NAME_OPTION: &str = "com.docker.network.bridge.name";

/// Name of a network's bridge: the one its options give, otherwise the prefix
/// and the beginning of its id.
pub(crate) fn bridge(network: &Network, prefix: &str) -> String {
    match network.options.get(BRIDGE_NAME_OPTION) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => bridge_of_id(&network.id, prefix),
    }
}

fn bridge_of_id(id: &NetworkId, prefix: &str) -> String {
    format!("{prefix}{}", &id.as_str()[..BRIDGE_ID_CHARACTERS])
}

/// Name of the node's end of an endpoint's pair.
pub(crate) fn host_end(endpoint_id: &str) -> String {
    let used = endpoint_id.len().min(LINK_NAME_MAX_BYTES - "veth".len());
    format!("veth{}", &endpoint_id[..used])
}

/// Name of the container's end of its `index`th endpoint.
pub(crate) fn container_end(index: usize) -> String {
    format!("eth{index}")
}

/// Whether the kernel would take `name` for a link.
pub(crate) fn is_valid(name: &str) -> bool {
    (1..=LINK_NAME_MAX_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !name.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel() {
        let id = NetworkId::from_bytes([0xab; 32]);
        assert_eq!(bridge_of_id(&id, "br-"), "br-abababababab");
        let end = host_end(id.as_str());
        assert_eq!(end, "vethabababababa");
        for name in [bridge_of_id(&id, "br-"), end, container_end(12)] {
            assert!(is_valid(&name), "{name}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a\"b", "sixteen-letters-", "a:b"] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
