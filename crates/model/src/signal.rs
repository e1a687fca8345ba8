//! Linux signals by name and number (`signal(7)`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A signal that can be sent to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signal(u8);

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid signal: {0}")]
pub struct SignalError(String);

impl crate::Classify for SignalError {
    fn kind(&self) -> crate::Kind {
        crate::Kind::Invalid
    }
}

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// The first real-time signal a program may use (two are glibc's).
const REALTIME_MIN: u8 = 34;
const REALTIME_MAX: u8 = 64;

impl Signal {
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGWINCH.
    pub const WINCH: Self = Self(28);

    /// The signal with this number, if Linux has it.
    pub fn from_number(number: u8) -> Option<Self> {
        (1..=REALTIME_MAX).contains(&number).then_some(Self(number))
    }

    /// The number, 1 to 64.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, SignalError> {
        let unknown = || SignalError(text.chars().take(40).collect());
        if let Ok(number) = text.parse::<u8>() {
            return Self::from_number(number).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let alias = match name {
            "IOT" => "ABRT",
            "POLL" => "IO",
            "CLD" => "CHLD",
            other => other,
        };
        if let Some(index) = NAMES.iter().position(|known| *known == alias) {
            return Ok(Self(index as u8 + 1));
        }
        realtime(name).map(Self).ok_or_else(unknown)
    }
}

/// `RTMIN`, `RTMIN+3`, `RTMAX`, `RTMAX-3`.
fn realtime(name: &str) -> Option<u8> {
    let number = if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { "+0" } else { offset };
        REALTIME_MIN.checked_add(offset.strip_prefix('+')?.parse().ok()?)?
    } else {
        let offset = name.strip_prefix("RTMAX")?;
        let offset = if offset.is_empty() { "-0" } else { offset };
        REALTIME_MAX.checked_sub(offset.strip_prefix('-')?.parse().ok()?)?
    };
    (REALTIME_MIN..=REALTIME_MAX).contains(&number).then_some(number)
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => write!(f, "SIG{name}"),
            None if self.0 >= REALTIME_MIN => write!(f, "SIGRTMIN+{}", self.0 - REALTIME_MIN),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for text in ["KILL", "SIGKILL", "sigkill", "9"] {
            assert_eq!(text.parse::<Signal>().unwrap(), Signal::KILL);
        }
        assert_eq!("RTMIN+3".parse::<Signal>().unwrap().number(), 37);
        assert_eq!("SIGRTMAX".parse::<Signal>().unwrap().number(), 64);
        for bad in ["", "0", "65", "SIG", "NOPE", "RTMIN+31", "RTMAX-31", "-1"] {
            assert!(bad.parse::<Signal>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_number_prints_as_something_that_reads_back() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
        }
    }
}
