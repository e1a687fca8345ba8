//! What can be wrong with a Dockerfile, always with the line it is wrong on.

use shoal_model::{Classify, Kind};

/// A Dockerfile that cannot be read. Its text is the one Docker prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dockerfile parse error on line {line}: {message}")]
pub struct ParseError {
    /// The first line (from 1) of the instruction that is wrong.
    pub line: usize,
    /// What is wrong with it, in Docker's words where Docker has words for it.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl Classify for ParseError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
