//! Reading the json-file logs that shims write, rotated files included.
//!
//! [`entry`] reads one line, [`files`] finds where to begin and what comes after a
//! file, [`reader`] reads batches (blocking), [`follow`] says when a file has grown.
//! Nothing here writes, and nothing knows why a container runs.

mod entry;
mod files;
mod follow;
mod reader;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use shoal_model::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use follow::LogWatch;
use follow::Subscription;
use reader::{Batch, Reader};

use crate::clock;
use crate::container::state::RunState;
use crate::domain::LogOptions;
use crate::stream::{LogEntry, OutputStream};

/// Entries of a log, oldest first.
pub struct LogStream {
    tty: bool,
    options: LogOptions,
    batch: VecDeque<LogEntry>,
    source: Source,
    following: Option<Following>,
}

/// Where the next batch comes from.
enum Source {
    Idle(Box<Reader>),
    Reading(JoinHandle<(Box<Reader>, io::Result<Batch>)>),
    Ended,
}

/// What a following reader waits for.
pub(crate) struct Following {
    /// The directory has changed.
    pub(crate) files: Subscription,
    /// The container that writes.
    pub(crate) state: watch::Receiver<RunState>,
    /// Exits before the following began.
    pub(crate) exits: u64,
}

impl Following {
    /// What has happened so far is known; whether the writer is gone.
    fn look(&mut self) -> bool {
        self.files.mark_seen();
        let state = self.state.borrow_and_update();
        state.removed || state.exits > self.exits || !state.phase.is_active()
    }
}

impl LogStream {
    /// Opens the log at `path`; one that is not there is empty. Blocks.
    pub(crate) fn open(
        path: PathBuf,
        tty: bool,
        options: LogOptions,
        following: Option<Following>,
    ) -> io::Result<Self> {
        let reader = Reader::open(path, options.tail)?;
        Ok(LogStream {
            tty,
            options,
            batch: VecDeque::new(),
            source: Source::Idle(Box::new(reader)),
            following,
        })
    }

    /// Whether the container has a terminal (its log is one raw stream then).
    pub fn tty(&self) -> bool {
        self.tty
    }

    /// The next entry; waits for it when following. `None` at the end. Given up
    /// half way, nothing is lost.
    pub async fn next(&mut self) -> Option<LogEntry> {
        loop {
            while let Some(entry) = self.batch.pop_front() {
                match self.judge(&entry) {
                    Verdict::Wanted => return Some(entry),
                    Verdict::Unwanted => {}
                    Verdict::TooLate => {
                        self.source = Source::Ended;
                        self.batch.clear();
                        return None;
                    }
                }
            }
            // Asked before reading: what was written before the end will be read.
            let gone = self.following.as_mut().is_none_or(Following::look);
            match self.read_batch().await? {
                Ok(batch) if !batch.entries.is_empty() => self.batch = batch.entries.into(),
                Ok(batch) if !batch.at_end => {}
                Ok(_) if gone || self.is_past_until() => {
                    self.source = Source::Ended;
                    return None;
                }
                Ok(_) => self.wait_for_more().await,
                Err(error) => {
                    tracing::error!(%error, "cannot read a container's log");
                    self.source = Source::Ended;
                    return None;
                }
            }
        }
    }

    fn judge(&self, entry: &LogEntry) -> Verdict {
        let wanted_stream = match entry.stream {
            OutputStream::Stdout => self.options.streams.stdout,
            OutputStream::Stderr => self.options.streams.stderr,
        };
        if self.options.until.is_some_and(|until| entry.time > until) {
            Verdict::TooLate
        } else if wanted_stream && self.options.since.is_none_or(|since| entry.time >= since) {
            Verdict::Wanted
        } else {
            Verdict::Unwanted
        }
    }

    async fn read_batch(&mut self) -> Option<io::Result<Batch>> {
        if let Source::Idle(_) = self.source {
            let Source::Idle(mut reader) = std::mem::replace(&mut self.source, Source::Ended)
            else {
                return None;
            };
            self.source = Source::Reading(tokio::task::spawn_blocking(move || {
                let batch = reader.read();
                (reader, batch)
            }));
        }
        let Source::Reading(reading) = &mut self.source else { return None };
        // Polled by reference: given up here, it is taken up again next time.
        match reading.await {
            Ok((reader, batch)) => {
                self.source = Source::Idle(reader);
                Some(batch)
            }
            Err(error) => {
                self.source = Source::Ended;
                Some(Err(io::Error::other(error)))
            }
        }
    }

    fn is_past_until(&self) -> bool {
        self.options.until.is_some_and(|until| clock::now() > until)
    }

    async fn wait_for_more(&mut self) {
        let Some(following) = &mut self.following else { return };
        let until = async {
            match self.options.until {
                Some(until) => tokio::time::sleep(remaining(until)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = following.files.changed() => {}
            _ = following.state.changed() => {}
            () = until => {}
        }
    }
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStream").field("options", &self.options).finish_non_exhaustive()
    }
}

enum Verdict {
    Wanted,
    Unwanted,
    TooLate,
}

/// Time until just after `until`.
fn remaining(until: Timestamp) -> Duration {
    until.since(clock::now()) + Duration::from_millis(1)
}
