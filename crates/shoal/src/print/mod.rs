//! The one printer: data to standard output, talk to standard error.
//!
//! A reader that went away (`shoal ps | head -1`) is no failure: the writes
//! return the error, and `main` ends quietly on it.

mod progress;
mod table;
mod template;
pub(crate) mod words;

use std::fmt::Display;
use std::io::{self, Write};

pub(crate) use progress::Progress;
pub(crate) use table::{Column, Listing, Row, align, column};
pub(crate) use template::Template;

/// Prints one line of data.
///
/// # Errors
/// When nobody reads any more.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
}

/// Prints bytes of data as they are.
///
/// # Errors
/// When nobody reads any more.
pub(crate) fn bytes(data: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(data)?;
    out.flush()
}

/// Prints bytes a container wrote to its standard error.
///
/// # Errors
/// When nobody reads any more.
pub(crate) fn error_bytes(data: &[u8]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    err.write_all(data)?;
    err.flush()
}

/// Says something to the person at the terminal.
pub(crate) fn talk(text: impl Display) {
    // Nobody listening to talk is no reason to stop.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
