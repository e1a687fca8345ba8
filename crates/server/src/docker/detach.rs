//! The keys that leave a container's terminal without stopping it.
//!
//! Pure: bytes in, bytes to pass on out. A started sequence that turns out to
//! be something else is passed on whole.

use shoal_model::{Classify, Kind};

/// Docker's keys unless told otherwise.
pub const DEFAULT_DETACH_KEYS: &str = "ctrl-p,ctrl-q";

/// Watches input for the detach sequence.
#[derive(Debug, Clone)]
pub struct DetachKeys {
    sequence: Vec<u8>,
    matched: usize,
}

/// What became of a piece of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// These bytes go to the container.
    Pass(Vec<u8>),
    /// These bytes go to the container, then the client leaves.
    Detach(Vec<u8>),
}

/// Detach keys that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid escape keys ({keys}) provided: unknown character: '{part}'")]
pub struct DetachKeysError {
    keys: String,
    part: String,
}

impl Classify for DetachKeysError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl DetachKeys {
    /// Reads keys as `--detach-keys` takes them: `ctrl-x` or single
    /// characters, separated by commas.
    ///
    /// # Errors
    /// When a part is neither.
    pub fn parse(keys: &str) -> Result<Self, DetachKeysError> {
        let error = |part: &str| DetachKeysError { keys: keys.to_owned(), part: part.to_owned() };
        let sequence = keys
            .split(',')
            .map(|part| key(part).ok_or_else(|| error(part)))
            .collect::<Result<_, _>>()?;
        Ok(Self { sequence, matched: 0 })
    }

    /// The bytes the keys send.
    pub fn bytes(&self) -> &[u8] {
        &self.sequence
    }

    /// Takes input in.
    pub fn feed(&mut self, bytes: &[u8]) -> Input {
        let mut pass = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if byte == self.sequence[self.matched] {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    self.matched = 0;
                    return Input::Detach(pass);
                }
                continue;
            }
            pass.extend_from_slice(&self.sequence[..self.matched]);
            self.matched = usize::from(byte == self.sequence[0] && self.sequence.len() > 1);
            if self.matched == 0 {
                pass.push(byte);
            }
        }
        Input::Pass(pass)
    }
}

impl Default for DetachKeys {
    fn default() -> Self {
        const CTRL_P: u8 = 16;
        const CTRL_Q: u8 = 17;
        Self { sequence: vec![CTRL_P, CTRL_Q], matched: 0 }
    }
}

fn key(part: &str) -> Option<u8> {
    match part.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => Some(letter - b'a' + 1),
        Some(b"@") => Some(0),
        Some(b"[") => Some(27),
        Some(b"\\") => Some(28),
        Some(b"]") => Some(29),
        Some(b"^") => Some(30),
        Some(b"_") => Some(31),
        Some(_) => None,
        None => match part.as_bytes() {
            [byte] => Some(*byte),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_leaves_and_anything_else_is_passed_on() {
        let mut keys = DetachKeys::parse(DEFAULT_DETACH_KEYS).expect("keys");
        assert_eq!(keys.feed(b"ab\x10"), Input::Pass(b"ab".to_vec()));
        assert_eq!(keys.feed(b"c"), Input::Pass(b"\x10c".to_vec()));
        assert_eq!(keys.feed(b"\x10\x10"), Input::Pass(b"\x10".to_vec()));
        assert_eq!(keys.feed(b"\x11rest"), Input::Detach(Vec::new()));
        let mut one = DetachKeys::parse("x").expect("keys");
        assert_eq!(one.feed(b"abx"), Input::Detach(b"ab".to_vec()));
        assert!(DetachKeys::parse("ctrl-").is_err() && DetachKeys::parse("").is_err());
    }
}
