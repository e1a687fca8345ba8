//! Join tokens: `SWMTKN-1-<digest of the root>-<secret>`.
//!
//! The digest lets the joining node recognise the right cluster before it trusts anybody; the
//! secret lets the manager recognise who may join, and as what. Form two, `SWMTKN-2-<0|1>-…`,
//! says in addition whether the cluster demands FIPS mode.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::{PkiError, random};

/// Characters of the digest: 256 bits in base 36.
const DIGEST_CHARS: usize = 50;
/// Characters of the secret: 128 bits in base 36.
const SECRET_CHARS: usize = 25;

/// A text that is not a join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid join token")]
pub struct TokenError;

/// A parsed join token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    root_digest: [u8; 32],
    secret: String,
    fips: Option<bool>,
}

impl JoinToken {
    /// The token of a cluster whose root certificate is exactly these bytes.
    pub fn new(root_pem: &[u8], secret: &str) -> Self {
        Self { root_digest: Sha256::digest(root_pem).into(), secret: secret.to_owned(), fips: None }
    }

    /// Whether these exact bytes are the root certificate the token was made for.
    pub fn matches_root(&self, root_pem: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(root_pem).into();
        digest == self.root_digest
    }

    /// The digest as hexadecimal digits.
    pub fn root_digest_hex(&self) -> String {
        hex::encode(self.root_digest)
    }

    /// Whether the cluster demands FIPS mode, which this implementation does not have.
    pub fn demands_fips(&self) -> bool {
        self.fips == Some(true)
    }
}

/// A new secret half of a join token: 16 random bytes in base 36.
pub fn join_secret() -> Result<String, PkiError> {
    Ok(to_base36(&random::<16>()?, SECRET_CHARS))
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fips {
            None => f.write_str("SWMTKN-1-")?,
            Some(fips) => write!(f, "SWMTKN-2-{}-", u8::from(fips))?,
        }
        write!(f, "{}-{}", to_base36(&self.root_digest, DIGEST_CHARS), self.secret)
    }
}

/// The secret is worth a cluster: it never appears in a log.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("root_digest", &self.root_digest_hex()).finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let parts: Vec<&str> = text.trim().split('-').collect();
        let (fips, digest, secret) = match parts.as_slice() {
            ["SWMTKN", "1", digest, secret] => (None, digest, secret),
            ["SWMTKN", "2", "0", digest, secret] => (Some(false), digest, secret),
            ["SWMTKN", "2", "1", digest, secret] => (Some(true), digest, secret),
            _ => return Err(TokenError),
        };
        if digest.len() != DIGEST_CHARS || secret.len() != SECRET_CHARS {
            return Err(TokenError);
        }
        if !secret.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()) {
            return Err(TokenError);
        }
        let root_digest = from_base36(digest).ok_or(TokenError)?;
        Ok(Self { root_digest, secret: (*secret).to_owned(), fips })
    }
}

/// A big-endian number in base 36, padded with zeros on the left.
fn to_base36(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            // A remainder below 36 keeps the quotient below 256.
            *byte = (value / 36) as u8;
            rest = value % 36;
        }
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[rest as usize];
    }
    digits.into_iter().map(char::from).collect()
}

/// The inverse of [`to_base36`] for 32 bytes; `None` for foreign characters or an overflow.
fn from_base36(text: &str) -> Option<[u8; 32]> {
    let mut number = [0u8; 32];
    for character in text.chars() {
        if character.is_ascii_uppercase() {
            return None;
        }
        let mut carry = character.to_digit(36)?;
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 36 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form() {
        let token = JoinToken::new(b"some pem\n", &join_secret().unwrap());
        let text = token.to_string();
        assert_eq!(text.len(), "SWMTKN-1-".len() + DIGEST_CHARS + 1 + SECRET_CHARS);
        let parsed: JoinToken = text.parse().unwrap();
        assert!(parsed == token);
        assert!(parsed.matches_root(b"some pem\n"));
        assert!(!parsed.matches_root(b"some pem"));
    }

    #[test]
    fn base36_is_the_usual_one() {
        assert_eq!(to_base36(&[0, 36], 4), "0010");
        assert_eq!(to_base36(&[255, 255], 4), "1ekf");
        assert_eq!(&from_base36("1ekf").unwrap()[30..], &[255, 255]);
        assert_eq!(from_base36(&"z".repeat(50)), None);
    }

    #[test]
    fn other_texts_are_refused() {
        let good = JoinToken::new(b"x", &"1".repeat(SECRET_CHARS)).to_string();
        for bad in [
            String::new(),
            "SWMTKN-1".into(),
            good.replace("SWMTKN", "TOKEN"),
            good.replace("-1-", "-3-"),
            good.to_uppercase(),
            format!("{good}0"),
            format!("{good}-more"),
        ] {
            assert_eq!(bad.parse::<JoinToken>().err(), Some(TokenError), "{bad}");
        }
        assert!(!good.parse::<JoinToken>().unwrap().demands_fips());
        assert!(good.replacen("-1-", "-2-1-", 1).parse::<JoinToken>().unwrap().demands_fips());
    }

    #[test]
    fn a_token_keeps_its_secret_out_of_logs() {
        let token = JoinToken::new(b"x", "0123456789abcdefghijklmno");
        assert!(!format!("{token:?}").contains("0123456789abc"));
    }
}
