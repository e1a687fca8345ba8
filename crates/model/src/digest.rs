//! Content addresses (OCI image-spec, "Digests").

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `sha256:` and 64 lower-case hexadecimal characters.
///
/// Other registered algorithms (sha512) are refused: every registry and
/// engine writes sha256, and a single algorithm keeps one name per content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Arc<str>);

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text has no `algorithm:hex` form.
    #[error("invalid checksum digest format: {0:?}")]
    Format(String),
    /// The algorithm is not sha256.
    #[error("unsupported digest algorithm {0:?}")]
    Algorithm(String),
    /// The hexadecimal part has the wrong length or characters.
    #[error("invalid checksum digest length: {0:?}")]
    Length(String),
}

impl crate::Classify for DigestError {
    fn kind(&self) -> crate::Kind {
        crate::Kind::Invalid
    }
}

const PREFIX: &str = "sha256:";

impl Digest {
    /// The digest whose SHA-256 sum is `sum`.
    pub fn sha256(sum: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", crate::ids::hex(&sum)).into())
    }

    /// `sha256:…`, whole.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    pub fn algorithm(&self) -> &str {
        &self.0[..PREFIX.len() - 1]
    }

    /// The 64 hexadecimal characters.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// The first 12 hexadecimal characters, as tables show it.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let shown = || text.chars().take(100).collect::<String>();
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| DigestError::Format(shown()))?;
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm(algorithm.chars().take(40).collect()));
        }
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Length(shown()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let digest = Digest::sha256([7; 32]);
        assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.algorithm(), "sha256");
        assert_eq!(digest.short(), "070707070707");
    }

    #[test]
    fn what_is_not_a_digest_is_refused() {
        for text in ["", "sha256", "sha256:", "sha256:AB", "sha512:00", "../../etc/passwd"] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
    }
}
