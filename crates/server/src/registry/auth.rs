//! Who may use the registry: names and the sums of their passwords.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::error::{Code, RegistryError};

/// Users of a registry. Empty: everybody.
#[derive(Clone, Debug, Default)]
pub struct Users(BTreeMap<String, [u8; 32]>);

/// A line that is no user.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {0} is not NAME:SHA256, with the password's SHA-256 sum as 64 hexadecimal characters"
)]
pub struct UsersError(usize);

impl shoal_model::Classify for UsersError {
    fn kind(&self) -> shoal_model::Kind {
        shoal_model::Kind::Invalid
    }
}

impl Users {
    /// Adds a user by password.
    pub fn add(&mut self, name: &str, password: &str) {
        self.0.insert(name.into(), Sha256::digest(password).into());
    }

    /// Reads a file of users: a line `NAME:SHA256` each; `#` begins a remark.
    ///
    /// # Errors
    /// Names the first wrong line.
    pub fn parse(text: &str) -> Result<Self, UsersError> {
        let mut users = Self::default();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, sum) = line
                .rsplit_once(':')
                .and_then(|(name, sum)| Some((name, unhex(sum)?)))
                .filter(|(name, _)| !name.is_empty() && !name.contains(':'))
                .ok_or(UsersError(index + 1))?;
            users.0.insert(name.into(), sum);
        }
        Ok(users)
    }

    /// The line of a user for such a file.
    pub fn line(name: &str, password: &str) -> String {
        let mut line = format!("{name}:");
        for byte in Sha256::digest(password) {
            // Writing to a string does not fail.
            let _ = write!(line, "{byte:02x}");
        }
        line
    }

    /// Lets a request through, or asks for credentials.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), RegistryError> {
        if self.0.is_empty() || self.knows(headers) {
            return Ok(());
        }
        Err(RegistryError::new(Code::Unauthorized, "authentication required"))
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((name, password)) = given.as_deref().and_then(|given| given.split_once(':'))
        else {
            return false;
        };
        let sum: [u8; 32] = Sha256::digest(password).into();
        // Sums of different passwords differ at unforeseeable places, so the
        // time of this comparison tells nothing about the password.
        self.0.get(name).is_some_and(|known| *known == sum)
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut sum = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in sum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", STANDARD.encode(text));
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn only_known_users_with_their_password_pass() {
        let file = format!("# who\n\n{}\n", Users::line("ann", "pass:word"));
        let users = Users::parse(&file).unwrap();
        assert!(users.check(&headers("ann:pass:word")).is_ok());
        for wrong in ["ann:pass", "bob:pass:word", "ann", ""] {
            assert!(users.check(&headers(wrong)).is_err(), "{wrong}");
        }
        assert!(users.check(&HeaderMap::new()).is_err());
        assert!(Users::default().check(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn wrong_lines_are_named() {
        assert_eq!(Users::parse("a:00").unwrap_err(), UsersError(1));
        let good = Users::line("a", "b");
        assert_eq!(Users::parse(&format!("{good}\nplain")).unwrap_err(), UsersError(2));
    }
}
