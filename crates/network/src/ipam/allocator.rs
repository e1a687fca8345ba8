//! The addresses of one pool.
//!
//! Invariant: an address is in `used` exactly while it may not be given out.
//! Addresses go round: the one freed last is given last, so that a neighbour's
//! cache or a namespace that is still being torn down does no harm.

use std::{collections::BTreeSet, net::Ipv4Addr};

use crate::{spec::PoolSpec, subnet::Subnet};

/// Who has which address.
#[derive(Clone, Debug)]
pub(crate) struct Allocator {
    subnet: Subnet,
    /// First and last address given out automatically.
    range: (u32, u32),
    /// Never given out: the network, its broadcast, the gateway, others'.
    reserved: BTreeSet<u32>,
    used: BTreeSet<u32>,
    /// Where the next search begins.
    next: u32,
}

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllocateError {
    /// All of the range are in use.
    Exhausted,
    /// The wanted one is in use or reserved.
    InUse,
    /// The wanted one is not of this network.
    Outside,
}

impl Allocator {
    /// With only the reserved addresses taken.
    pub(crate) fn new(pool: &PoolSpec) -> Self {
        let subnet = pool.subnet;
        let mut reserved: BTreeSet<u32> =
            pool.aux_addresses.values().map(|a| (*a).into()).collect();
        reserved.insert(pool.gateway.into());
        // Smaller networks have no address of their own and no broadcast
        // (RFC 3021).
        if subnet.prefix() < 31 {
            reserved.extend([subnet.base(), subnet.last()].map(u32::from));
        }
        let range = pool.ip_range.unwrap_or(subnet);
        let range = (range.base().into(), range.last().into());
        Self { subnet, range, reserved, used: BTreeSet::new(), next: range.0 }
    }

    /// Gives out any address.
    pub(crate) fn any(&mut self) -> Result<Ipv4Addr, AllocateError> {
        let (first, last) = self.range;
        let found = self
            .free_between(self.next, last)
            .or_else(|| self.free_between(first, self.next.saturating_sub(1)))
            .ok_or(AllocateError::Exhausted)?;
        self.used.insert(found);
        self.next = if found == last { first } else { found + 1 };
        Ok(found.into())
    }

    /// Gives out `wanted`.
    pub(crate) fn exactly(&mut self, wanted: Ipv4Addr) -> Result<(), AllocateError> {
        if !self.subnet.contains(wanted) {
            return Err(AllocateError::Outside);
        }
        let wanted = u32::from(wanted);
        if self.reserved.contains(&wanted) || !self.used.insert(wanted) {
            return Err(AllocateError::InUse);
        }
        Ok(())
    }

    /// Takes an address back; others are ignored.
    pub(crate) fn free(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.into());
    }

    /// The first free address from `first` to `last`. Steps over whole runs of
    /// taken ones, so the work is bound by how many are in use.
    fn free_between(&self, first: u32, last: u32) -> Option<u32> {
        let mut candidate = first;
        while candidate <= last {
            if !self.reserved.contains(&candidate) && !self.used.contains(&candidate) {
                return Some(candidate);
            }
            candidate = candidate.checked_add(1)?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn pool(subnet: &str) -> PoolSpec {
        let subnet: Subnet = subnet.parse().unwrap();
        let gateway = Ipv4Addr::from(u32::from(subnet.base()) + 1);
        PoolSpec { subnet, ip_range: None, gateway, aux_addresses: BTreeMap::new() }
    }

    #[test]
    fn addresses_go_round() {
        let mut pool = pool("10.0.0.0/29");
        pool.aux_addresses.insert("router".into(), [10, 0, 0, 3].into());
        let mut all = Allocator::new(&pool);
        let given: Vec<_> = (0..4).map(|_| all.any().unwrap().octets()[3]).collect();
        assert_eq!(given, [2, 4, 5, 6]);
        assert_eq!(all.any(), Err(AllocateError::Exhausted));
        all.free([10, 0, 0, 2].into());
        all.free([10, 0, 0, 5].into());
        assert_eq!(all.any().unwrap().octets()[3], 2);
        all.free([10, 0, 0, 2].into());
        assert_eq!(all.any().unwrap().octets()[3], 5);
    }

    #[test]
    fn wanted_addresses() {
        let mut all = Allocator::new(&pool("10.0.0.0/24"));
        assert_eq!(all.exactly([10, 0, 0, 9].into()), Ok(()));
        assert_eq!(all.exactly([10, 0, 0, 9].into()), Err(AllocateError::InUse));
        assert_eq!(all.exactly([10, 0, 0, 1].into()), Err(AllocateError::InUse));
        assert_eq!(all.exactly([10, 0, 0, 255].into()), Err(AllocateError::InUse));
        assert_eq!(all.exactly([10, 0, 1, 9].into()), Err(AllocateError::Outside));
    }

    #[test]
    fn a_range_bounds_only_what_nobody_chose() {
        let mut pool = pool("10.0.0.0/24");
        pool.ip_range = Some("10.0.0.128/31".parse().unwrap());
        let mut all = Allocator::new(&pool);
        assert_eq!(all.any().unwrap().octets()[3], 128);
        assert_eq!(all.any().unwrap().octets()[3], 129);
        assert_eq!(all.any(), Err(AllocateError::Exhausted));
        assert_eq!(all.exactly([10, 0, 0, 5].into()), Ok(()));
    }

    #[test]
    fn the_ends_of_the_address_space() {
        let mut high = pool("255.255.255.252/30");
        high.gateway = [255, 255, 255, 253].into();
        let mut all = Allocator::new(&high);
        assert_eq!(all.any(), Ok([255, 255, 255, 254].into()));
        assert_eq!(all.any(), Err(AllocateError::Exhausted));
        let mut low = Allocator::new(&pool("0.0.0.0/30"));
        assert_eq!(low.any(), Ok([0, 0, 0, 2].into()));
        assert_eq!(low.any(), Err(AllocateError::Exhausted));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Any,
        Exactly(u8),
        Free(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Any),
            any::<u8>().prop_map(Step::Exactly),
            any::<u8>().prop_map(Step::Free)
        ]
    }

    proptest! {
        /// Whatever happens, no two have the same address, none has a reserved
        /// one, and "exhausted" is only said when it is true.
        #[test]
        fn never_twice(prefix in 24u8..=32, steps in prop::collection::vec(step(), 0..600)) {
            let subnet = Subnet::of([10, 0, 0, 64].into(), prefix);
            let gateway = Ipv4Addr::from(u32::from(subnet.base()) | u32::from(prefix < 32));
            let pool = PoolSpec { subnet, ip_range: None, gateway, aux_addresses: BTreeMap::new() };
            let mut all = Allocator::new(&pool);
            let mut held = BTreeSet::new();
            let room = subnet.size() - if prefix < 31 { 3 } else { 1 };
            for step in steps {
                match step {
                    Step::Any => match all.any() {
                        Ok(address) => {
                            prop_assert!(subnet.contains(address) && address != gateway);
                            prop_assert!(prefix >= 31 || (address != subnet.base() && address != subnet.last()));
                            prop_assert!(held.insert(address));
                        }
                        Err(error) => {
                            prop_assert_eq!(error, AllocateError::Exhausted);
                            prop_assert_eq!(held.len() as u64, room);
                        }
                    },
                    Step::Exactly(n) => {
                        let address = Ipv4Addr::from([10, 0, 0, n]);
                        if all.exactly(address).is_ok() {
                            prop_assert!(subnet.contains(address) && address != gateway);
                            prop_assert!(held.insert(address));
                        }
                    }
                    Step::Free(n) => {
                        let address = Ipv4Addr::from([10, 0, 0, n]);
                        if held.remove(&address) {
                            all.free(address);
                        }
                    }
                }
            }
        }
    }
}
