//! Join tokens: `SWMTKN-1-<digest of the root certificate>-<secret>`.

use std::{fmt, str::FromStr};

use shoal_model::swarm::{JoinTokens, NodeRole};
use shoal_model::{Classify, Kind};

use super::base36;

/// Characters of the digest: 256 bits in base 36.
const DIGEST_WIDTH: usize = 50;
/// Characters of the secret: 128 bits in base 36.
const SECRET_WIDTH: usize = 25;

/// A join token, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    digest: [u8; 32],
    secret: [u8; 16],
    fips: Option<bool>,
}

/// A text that is no join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid join token")]
pub struct TokenError;

impl Classify for TokenError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl JoinToken {
    /// A token for a cluster with this root certificate: SHA-256 over the
    /// exact bytes handed out as the certificate, and 16 bytes drawn from the
    /// system's random source.
    pub fn new(digest: [u8; 32], secret: [u8; 16]) -> Self {
        Self { digest, secret, fips: None }
    }

    /// SHA-256 the root certificate must have.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether the cluster demands FIPS cryptography (version 2 tokens).
    pub fn demands_fips(&self) -> bool {
        self.fips == Some(true)
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let parts: Vec<_> = text.split('-').collect();
        let (fips, digest, secret) = match parts.as_slice() {
            ["SWMTKN", "1", digest, secret] => (None, digest, secret),
            ["SWMTKN", "2", "0", digest, secret] => (Some(false), digest, secret),
            ["SWMTKN", "2", "1", digest, secret] => (Some(true), digest, secret),
            _ => return Err(TokenError),
        };
        if digest.len() != DIGEST_WIDTH || secret.len() != SECRET_WIDTH {
            return Err(TokenError);
        }
        let digest = base36::decode(digest).ok_or(TokenError)?;
        let secret = base36::decode(secret).ok_or(TokenError)?;
        Ok(Self { digest, secret, fips })
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fips {
            None => f.write_str("SWMTKN-1-")?,
            Some(fips) => write!(f, "SWMTKN-2-{}-", u8::from(fips))?,
        }
        let digest = base36::encode(&self.digest, DIGEST_WIDTH);
        write!(f, "{digest}-{}", base36::encode(&self.secret, SECRET_WIDTH))
    }
}

impl fmt::Debug for JoinToken {
    /// Leaves out the secret: it must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(..)")
    }
}

/// The role a shown token stands for; `None`: it is not valid here. Takes the
/// same time however much of it is right.
pub fn role_for_token(tokens: &JoinTokens, shown: &str) -> Option<NodeRole> {
    let worker = same(&tokens.worker, shown);
    let manager = same(&tokens.manager, shown);
    match (worker, manager) {
        (_, true) => Some(NodeRole::Manager),
        (true, false) => Some(NodeRole::Worker),
        (false, false) => None,
    }
}

/// Compares in a time that depends on the lengths only. An empty token (none
/// was ever made) equals nothing.
fn same(kept: &str, shown: &str) -> bool {
    let (kept, shown) = (kept.as_bytes(), shown.as_bytes());
    if kept.is_empty() || kept.len() != shown.len() {
        return false;
    }
    let mut difference = 0;
    for (one, other) in kept.iter().zip(shown) {
        difference |= one ^ other;
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_written() {
        let token = JoinToken::new([0xab; 32], [0x01; 16]);
        let text = token.to_string();
        assert_eq!(text.len(), "SWMTKN-1-".len() + 50 + 1 + 25);
        assert_eq!(text.parse::<JoinToken>(), Ok(token));
        let smallest = JoinToken::new([0; 32], [0; 16]).to_string();
        assert_eq!(smallest, format!("SWMTKN-1-{}-{}", "0".repeat(50), "0".repeat(25)));
        assert!(JoinToken::new([0xff; 32], [0xff; 16]).to_string().parse::<JoinToken>().is_ok());
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = JoinToken::new([7; 32], [9; 16]).to_string();
        for bad in [
            "",
            "SWMTKN-1-abc-def",
            "SWMTKN-3-1-x-y",
            &good.replace("SWMTKN-1", "SWMTKN-9"),
            &good.to_uppercase(),
            &good.replace('-', "_"),
            &format!("{good}0"),
            // Larger than 256 bits.
            &format!("SWMTKN-1-{}-{}", "z".repeat(50), "0".repeat(25)),
        ] {
            assert_eq!(bad.parse::<JoinToken>(), Err(TokenError), "{bad}");
        }
        let fips = good.replace("SWMTKN-1", "SWMTKN-2-1").parse::<JoinToken>().unwrap();
        assert!(fips.demands_fips());
        assert_eq!(fips.to_string(), good.replace("SWMTKN-1", "SWMTKN-2-1"));
    }

    #[test]
    fn the_token_decides_the_role() {
        let tokens = JoinTokens { worker: "SWMTKN-w".into(), manager: "SWMTKN-m".into() };
        assert_eq!(role_for_token(&tokens, "SWMTKN-w"), Some(NodeRole::Worker));
        assert_eq!(role_for_token(&tokens, "SWMTKN-m"), Some(NodeRole::Manager));
        for wrong in ["", "SWMTKN-x", "SWMTKN-w "] {
            assert_eq!(role_for_token(&tokens, wrong), None);
        }
        assert_eq!(role_for_token(&JoinTokens::default(), ""), None);
    }

    #[test]
    fn a_secret_never_reaches_a_log() {
        assert_eq!(format!("{:?}", JoinToken::new([1; 32], [2; 16])), "JoinToken(..)");
    }
}
