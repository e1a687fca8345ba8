//! Identifiers as types, so that one cannot stand where another is meant.
//!
//! Two families: 64 hexadecimal characters (containers, networks, execs: the
//! Docker engine's form) and 25 base-36 characters (everything in a swarm:
//! SwarmKit's form). Both are made from bytes the caller drew at random.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an id of the wanted family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} id {text:?}")]
pub struct IdError {
    what: &'static str,
    text: String,
}

impl crate::Classify for IdError {
    fn kind(&self) -> crate::Kind {
        crate::Kind::Invalid
    }
}

/// Characters of an engine id.
const HEX_LENGTH: usize = 64;
/// Characters of an id as people see it in tables.
const SHORT_LENGTH: usize = 12;
/// Characters of a swarm id (SwarmKit `identity.NewID`).
const BASE36_LENGTH: usize = 25;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first 12 characters, as tables show it.
            pub fn short(&self) -> &str {
                &self.0[..SHORT_LENGTH]
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if $valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError { what: $what, text: text.chars().take(80).collect() })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        id!($(#[$doc])* $name, $what, is_hex_id);

        impl $name {
            /// Makes an id from 32 random bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(hex(&bytes).into())
            }
        }
    };
}

macro_rules! swarm_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        id!($(#[$doc])* $name, $what, is_swarm_id);

        impl $name {
            /// Makes an id from 17 random bytes.
            pub fn from_bytes(bytes: [u8; 17]) -> Self {
                Self(base36_id(bytes).into())
            }
        }
    };
}

hex_id! {
    /// A container of one engine.
    ContainerId, "container"
}
hex_id! {
    /// A network of one engine.
    NetworkId, "network"
}
hex_id! {
    /// A process started in a running container.
    ExecId, "exec"
}
swarm_id! {
    /// A cluster.
    ClusterId, "cluster"
}
swarm_id! {
    /// A machine of a cluster.
    SwarmNodeId, "node"
}
swarm_id! {
    /// A service.
    ServiceId, "service"
}
swarm_id! {
    /// One task of a service.
    TaskId, "task"
}
swarm_id! {
    /// A secret.
    SecretId, "secret"
}
swarm_id! {
    /// A config.
    ConfigId, "config"
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

fn is_hex_id(text: &str) -> bool {
    text.len() == HEX_LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_swarm_id(text: &str) -> bool {
    text.len() == BASE36_LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'))
}

/// SwarmKit's form: the bytes as one big-endian number with its top bit set
/// (so that the length never varies), in base 36, without the first digit,
/// which hardly varies.
fn base36_id(mut bytes: [u8; 17]) -> String {
    bytes[0] |= 0x80;
    let digits = base36(bytes);
    digits[1..=BASE36_LENGTH].iter().map(|&d| char::from(d)).collect()
}

/// The digits of a big-endian number in base 36, most significant first.
fn base36(mut number: [u8; 17]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(27);
    while number.iter().any(|&b| b != 0) {
        let mut remainder = 0u32;
        for byte in &mut number {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = (value / 36) as u8;
            remainder = value % 36;
        }
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[remainder as usize]);
    }
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swarm_ids_have_25_characters_whatever_the_bytes() {
        for bytes in [[0; 17], [0xff; 17], [0x5a; 17]] {
            let id = TaskId::from_bytes(bytes);
            assert_eq!(id.as_str().len(), 25);
            assert_eq!(id.as_str().parse::<TaskId>().unwrap(), id);
        }
        assert_ne!(TaskId::from_bytes([1; 17]), TaskId::from_bytes([2; 17]));
    }

    #[test]
    fn engine_ids_are_64_hexadecimal_characters() {
        let id = ContainerId::from_bytes([0xab; 32]);
        assert_eq!(id.short(), "abababababab");
        assert!("ABC".parse::<ContainerId>().is_err());
        assert!("g".repeat(64).parse::<ContainerId>().is_err());
        assert_eq!(format!("{id:?}"), "ContainerId(abababababab)");
    }

    #[test]
    fn base36_of_a_known_number() {
        let mut number = [0; 17];
        number[16] = 36;
        assert_eq!(base36(number), b"10");
    }
}
