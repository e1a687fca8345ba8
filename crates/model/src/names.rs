//! The rule for names of containers, volumes and networks (Docker's
//! `RestrictedNamePattern`; a network may have a single character).

/// A name outside the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid {what} name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
pub struct NameError {
    what: &'static str,
    name: String,
}

impl crate::Classify for NameError {
    fn kind(&self) -> crate::Kind {
        crate::Kind::Invalid
    }
}

/// Longest name taken; it becomes a file name.
pub const NAME_MAX_BYTES: usize = 255;

/// Checks `name`, of a `what` ("container", "volume", "network").
///
/// # Errors
/// Names the object when a character is outside the rule, or when it is
/// shorter than two or longer than [`NAME_MAX_BYTES`] characters.
pub fn check(what: &'static str, name: &str) -> Result<(), NameError> {
    check_length(what, name, 2)
}

/// The same for a network's name, which may have a single character.
///
/// # Errors
/// As [`check`].
pub fn check_network(name: &str) -> Result<(), NameError> {
    check_length("network", name, 1)
}

fn check_length(what: &'static str, name: &str, least: usize) -> Result<(), NameError> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && (least..=NAME_MAX_BYTES).contains(&name.len()) {
        Ok(())
    } else {
        Err(NameError { what, name: name.chars().take(80).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["web", "a1", "A_b.c-d"] {
            assert_eq!(check("container", good), Ok(()));
        }
        for bad in ["", "a", "-a", ".a", "a/b", "a b", "é1", &"x".repeat(256)] {
            assert!(check("container", bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_network("n"), Ok(()));
        assert!(check_network("").is_err());
        assert_eq!(
            check("container", "a/b").unwrap_err().to_string(),
            "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        );
    }
}
