//! Reading the json-file logs that shims write, rotated files included.

use crate::stream::LogEntry;

/// Entries of a log, oldest first.
#[derive(Debug)]
pub struct LogStream {}

impl LogStream {
    /// Whether the container has a terminal (its log is one raw stream then).
    pub fn tty(&self) -> bool {
        todo!()
    }

    /// The next entry; waits for it when following. `None` at the end.
    pub async fn next(&mut self) -> Option<LogEntry> {
        todo!()
    }
}
