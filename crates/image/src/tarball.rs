//! The tar format (POSIX ustar and pax, GNU long names and sparse files), as
//! streams: reading bytes nobody vouches for, and writing deterministically.
//!
//! This module knows the format and its limits. It does not know layers,
//! whiteouts or the file system: a path is bytes as they stood in the archive.

mod header;
mod number;
mod pax;
mod reader;
mod sparse;
mod writer;

pub(crate) use header::{BLOCK, EntryKind};
pub(crate) use reader::{Entry, TarReader};
pub(crate) use sparse::Extent;
pub(crate) use writer::TarWriter;

/// A tar stream that cannot be read.
#[derive(Debug)]
pub(crate) enum TarError {
    /// The source of the bytes failed.
    Io(std::io::Error),
    /// The bytes break the format or a limit.
    Format(String),
}

impl TarError {
    pub(crate) fn format(reason: impl Into<String>) -> Self {
        Self::Format(reason.into())
    }
}

impl From<std::io::Error> for TarError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
