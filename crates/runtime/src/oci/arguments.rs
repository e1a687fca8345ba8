//! Arguments of a command line: `--name value`, `--name=value`, then words.

use std::{collections::VecDeque, ffi::OsString};

use crate::protocol::{Failure, Reason};

/// What is left of the command line.
pub(super) struct Arguments {
    left: VecDeque<String>,
    /// The option taken last, for messages.
    last: String,
}

impl Arguments {
    pub(super) fn new(all: impl Iterator<Item = OsString>) -> Result<Self, Failure> {
        let text =
            |one: OsString| one.into_string().map_err(|one| invalid(format!("{one:?} is no text")));
        Ok(Self { left: all.map(text).collect::<Result<_, _>>()?, last: String::new() })
    }

    /// The next argument if it is an option, without a value that is joined to it.
    /// `--` ends the options.
    pub(super) fn option(&mut self) -> Option<String> {
        if !self.left.front()?.starts_with('-') {
            return None;
        }
        let option = self.left.pop_front()?;
        if option == "--" {
            return None;
        }
        let name = match option.split_once('=') {
            Some((name, value)) => {
                self.left.push_front(value.to_owned());
                name.to_owned()
            }
            None => option,
        };
        self.last.clone_from(&name);
        Some(name)
    }

    /// The value of the option just taken.
    pub(super) fn value(&mut self) -> Result<String, Failure> {
        self.left.pop_front().ok_or_else(|| invalid(format!("{} needs a value", self.last)))
    }

    /// The next word.
    pub(super) fn word(&mut self, what: &str) -> Result<String, Failure> {
        self.left.pop_front().ok_or_else(|| invalid(format!("the {what} is missing")))
    }

    /// All further words.
    pub(super) fn rest(&mut self) -> Vec<String> {
        self.left.drain(..).collect()
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Result<(), Failure> {
        match self.left.front() {
            Some(extra) => Err(invalid(format!("unexpected argument {extra:?}"))),
            None => Ok(()),
        }
    }

    /// For an option nobody knows.
    pub(super) fn unknown(&self, option: &str) -> Failure {
        Failure::new(Reason::NotImplemented, format!("option {option}: not implemented"))
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Reason::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_then_words() {
        let line = ["--root", "/x", "--log=/y", "-d", "id", "--not-ours"];
        let mut arguments = Arguments::new(line.iter().map(OsString::from)).unwrap();
        assert_eq!(arguments.option().as_deref(), Some("--root"));
        assert_eq!(arguments.value().unwrap(), "/x");
        assert_eq!(arguments.option().as_deref(), Some("--log"));
        assert_eq!(arguments.value().unwrap(), "/y");
        assert_eq!(arguments.option().as_deref(), Some("-d"));
        assert_eq!(arguments.option(), None);
        assert_eq!(arguments.word("id").unwrap(), "id");
        assert!(arguments.end().is_err());
        assert_eq!(arguments.rest(), ["--not-ours"]);
        assert!(arguments.word("more").is_err());
    }
}
