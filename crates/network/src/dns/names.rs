//! Who is called what in which network.
//!
//! Names belong to an [`Owner`], so that taking one away never takes a
//! namesake with it. Lookup ignores case, as DNS does.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::RwLock,
};

use shoal_model::{ContainerId, NetworkId, ServiceId};

/// Whose names these are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A container's own.
    Container(ContainerId),
    /// A service's virtual address.
    Service(ServiceId),
    /// The addresses of all tasks of a service (`tasks.NAME`).
    Tasks(ServiceId),
}

/// The table. Shared between whoever starts and stops things and the resolver.
#[derive(Debug, Default)]
pub struct Names {
    zones: RwLock<HashMap<NetworkId, Zone>>,
}

/// The names of one network.
#[derive(Debug, Default)]
struct Zone {
    forward: BTreeMap<String, BTreeSet<(Owner, Ipv4Addr)>>,
    reverse: HashMap<Ipv4Addr, BTreeMap<Owner, String>>,
}

impl Names {
    /// Sets all names and addresses of `owner` in `network`, replacing what it
    /// had there. The first name is the one reverse lookups answer with.
    pub fn set(&self, network: &NetworkId, owner: &Owner, names: &[String], at: &[Ipv4Addr]) {
        let mut zones = self.zones.write().unwrap_or_else(|e| e.into_inner());
        let zone = zones.entry(network.clone()).or_default();
        zone.remove(owner);
        for address in at {
            for name in names {
                let entry = zone.forward.entry(name.to_ascii_lowercase()).or_default();
                entry.insert((owner.clone(), *address));
            }
            if let Some(first) = names.first() {
                zone.reverse.entry(*address).or_default().insert(owner.clone(), first.clone());
            }
        }
        if zone.forward.is_empty() {
            zones.remove(network);
        }
    }

    /// Forgets `owner` in `network`.
    pub fn remove(&self, network: &NetworkId, owner: &Owner) {
        self.set(network, owner, &[], &[]);
    }

    /// The addresses of `name` (any case, no final dot) in `network`, in order;
    /// `None` if there is no such name.
    pub fn lookup(&self, network: &NetworkId, name: &str) -> Option<Vec<Ipv4Addr>> {
        let zones = self.zones.read().unwrap_or_else(|e| e.into_inner());
        let found = zones.get(network)?.forward.get(&name.to_ascii_lowercase())?;
        let addresses: BTreeSet<_> = found.iter().map(|(_, address)| *address).collect();
        Some(addresses.into_iter().collect())
    }

    /// The name of `address` in `network`.
    pub fn reverse(&self, network: &NetworkId, address: Ipv4Addr) -> Option<String> {
        let zones = self.zones.read().unwrap_or_else(|e| e.into_inner());
        zones.get(network)?.reverse.get(&address)?.values().next().cloned()
    }
}

impl Zone {
    fn remove(&mut self, owner: &Owner) {
        self.forward.retain(|_, entry| {
            entry.retain(|(o, _)| o != owner);
            !entry.is_empty()
        });
        self.reverse.retain(|_, owners| {
            owners.remove(owner);
            !owners.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(n: u8) -> Owner {
        Owner::Container(ContainerId::from_bytes([n; 32]))
    }

    fn ip(n: u8) -> Ipv4Addr {
        [10, 0, 0, n].into()
    }

    #[test]
    fn namesakes_do_not_take_each_other_away() {
        let names = Names::default();
        let net = NetworkId::from_bytes([1; 32]);
        names.set(&net, &container(1), &["web1".into(), "Web".into()], &[ip(2)]);
        names.set(&net, &container(2), &["web2".into(), "web".into()], &[ip(3)]);
        assert_eq!(names.lookup(&net, "WEB"), Some(vec![ip(2), ip(3)]));
        assert_eq!(names.reverse(&net, ip(3)).as_deref(), Some("web2"));
        names.remove(&net, &container(1));
        assert_eq!(names.lookup(&net, "web"), Some(vec![ip(3)]));
        assert_eq!(names.lookup(&net, "web1"), None);
        assert_eq!(names.reverse(&net, ip(2)), None);
        names.remove(&net, &container(2));
        assert!(names.zones.read().unwrap().is_empty());
    }

    #[test]
    fn networks_do_not_see_each_other() {
        let names = Names::default();
        let (a, b) = (NetworkId::from_bytes([1; 32]), NetworkId::from_bytes([2; 32]));
        names.set(&a, &container(1), &["web".into()], &[ip(2)]);
        assert_eq!(names.lookup(&b, "web"), None);
    }

    #[test]
    fn services_have_a_virtual_address_and_their_tasks() {
        let names = Names::default();
        let net = NetworkId::from_bytes([1; 32]);
        let service = ServiceId::from_bytes([7; 17]);
        names.set(&net, &Owner::Service(service.clone()), &["spider".into()], &[ip(9)]);
        let tasks = Owner::Tasks(service);
        names.set(&net, &tasks, &["tasks.spider".into()], &[ip(2), ip(3)]);
        names.set(&net, &tasks, &["tasks.spider".into()], &[ip(3), ip(4)]);
        assert_eq!(names.lookup(&net, "spider"), Some(vec![ip(9)]));
        assert_eq!(names.lookup(&net, "tasks.spider"), Some(vec![ip(3), ip(4)]));
    }
}
