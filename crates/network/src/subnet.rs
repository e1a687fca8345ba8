//! An IPv4 network in prefix notation.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An IPv4 network: host bits are always zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

/// A text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct SubnetError(String);

impl Subnet {
    /// The network of `prefix` bits that `address` lies in; a prefix above 32
    /// counts as 32.
    pub fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { base: u32::from(address) & mask(prefix), prefix }
    }

    /// Parses `address/prefix` and keeps the address, which may have host bits.
    ///
    /// # Errors
    /// When it is not an IPv4 address, a slash and a number up to 32.
    pub fn parse_address(text: &str) -> Result<(Ipv4Addr, Self), SubnetError> {
        let error = || SubnetError(text.chars().take(80).collect());
        let (address, prefix) = text.split_once('/').ok_or_else(error)?;
        let address: Ipv4Addr = address.parse().map_err(|_| error())?;
        let digits = prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse::<u8>().ok().filter(|p| digits && *p <= 32).ok_or_else(error)?;
        Ok((address, Self::of(address, prefix)))
    }

    /// First address, the network itself.
    pub fn base(self) -> Ipv4Addr {
        self.base.into()
    }

    /// Last address, the broadcast of networks that have one.
    pub fn last(self) -> Ipv4Addr {
        (self.base | !mask(self.prefix)).into()
    }

    /// Prefix length, 0 to 32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// How many addresses it spans.
    pub fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// Whether `address` lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    /// Whether all of `other` lies in it.
    pub fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.base())
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// The blocks of `size` bits it is cut into, in order; none if they would
    /// be larger than it.
    pub fn blocks(self, size: u8) -> impl Iterator<Item = Self> {
        let count =
            if (self.prefix..=32).contains(&size) { 1u64 << (size - self.prefix) } else { 0 };
        (0..count).map(move |i| Self {
            base: self.base + u32::try_from(i << (32 - size)).unwrap_or(0),
            prefix: size,
        })
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        Self::parse_address(text).map(|(_, subnet)| subnet)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base(), self.prefix)
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Subnet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn parses_and_prints() {
        assert_eq!(net("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(net("0.0.0.0/0").last(), Ipv4Addr::BROADCAST);
        assert_eq!(net("10.0.0.7/32").size(), 1);
        for bad in
            ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/0", "10.0.0.0/-1", "10.0.0.0/+8", "a/8"]
        {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
        assert_eq!("x/8".parse::<Subnet>().unwrap_err().to_string(), "invalid CIDR address: x/8");
    }

    #[test]
    fn containment() {
        assert!(net("10.0.0.0/8").covers(net("10.9.0.0/16")));
        assert!(!net("10.9.0.0/16").covers(net("10.0.0.0/8")));
        assert!(net("10.9.0.0/16").overlaps(net("10.0.0.0/8")));
        assert!(!net("10.0.0.0/9").overlaps(net("10.128.0.0/9")));
        assert!(net("0.0.0.0/0").contains(Ipv4Addr::BROADCAST));
    }

    #[test]
    fn blocks() {
        let blocks: Vec<_> = net("192.168.0.0/16").blocks(20).collect();
        assert_eq!(blocks.len(), 16);
        assert_eq!(blocks[1], net("192.168.16.0/20"));
        assert_eq!(net("10.0.0.0/16").blocks(8).count(), 0);
    }
}
