//! What flows between a client and a process: output chunks one way, input the other.
//!
//! Both directions are bounded: a client that does not read slows the program
//! down, never the engine.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use shoal_model::Timestamp;
use tokio::sync::mpsc;

/// Chunks of up to 64 KiB that may wait for a slow reader, each way.
pub(crate) const CHANNEL_CHUNKS: usize = 8;

/// Which of a process's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output; everything of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Some bytes a process wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// Where it wrote them.
    pub stream: OutputStream,
    /// What it wrote.
    pub data: Bytes,
}

/// One entry of a log: a line, or a part of one longer than 16 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was written.
    pub time: Timestamp,
    /// Where it was written.
    pub stream: OutputStream,
    /// What was written, its line end included.
    pub data: Bytes,
}

/// A client's connection to a process.
#[derive(Debug)]
pub struct Attached {
    /// Whether the process has a terminal (its output is one raw stream then).
    pub tty: bool,
    /// What it writes; ends when the process has ended or the client detached.
    pub output: Output,
    /// What it reads; `None` if the client did not ask for stdin or there is none.
    pub input: Option<Input>,
}

/// The output side of an [`Attached`]; a `Stream` of chunks.
///
/// Dropping it ends the attachment.
#[derive(Debug)]
pub struct Output {
    chunks: mpsc::Receiver<OutputChunk>,
}

impl Output {
    pub(crate) fn new(chunks: mpsc::Receiver<OutputChunk>) -> Self {
        Output { chunks }
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<OutputChunk> {
        self.chunks.recv().await
    }
}

impl Stream for Output {
    type Item = OutputChunk;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<OutputChunk>> {
        self.chunks.poll_recv(context)
    }
}

/// Why input is no longer taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputClosed {
    /// The process has ended or closed its stdin.
    #[error("the process no longer reads")]
    Ended,
    /// The client typed the detach keys; the output has ended, too.
    #[error("detached")]
    Detached,
}

/// The input side of an [`Attached`].
///
/// Dropping it closes the process's stdin as [`Input::close`] does.
#[derive(Debug)]
pub struct Input {
    bytes: mpsc::Sender<Bytes>,
    detach: Option<DetachKeys>,
    detached: Detached,
}

/// Whether a client has typed the detach keys; clones share the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Detached(Arc<AtomicBool>);

impl Detached {
    /// Whether it has.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Input {
    pub(crate) fn new(bytes: mpsc::Sender<Bytes>, detach: Option<DetachKeys>) -> Self {
        Input { bytes, detach, detached: Detached::default() }
    }

    /// Tells, now and later, whether the detach keys were typed.
    pub(crate) fn detached(&self) -> Detached {
        self.detached.clone()
    }

    /// Sends bytes to the process, waiting while it does not read.
    ///
    /// # Errors
    /// [`InputClosed`]; the caller should end the connection then.
    pub async fn write(&mut self, data: Bytes) -> Result<(), InputClosed> {
        let (data, detached) = match &mut self.detach {
            Some(keys) => keys.filter(data),
            None => (data, false),
        };
        if !data.is_empty() {
            self.bytes.send(data).await.map_err(|_| InputClosed::Ended)?;
        }
        if detached {
            self.detached.0.store(true, Ordering::Release);
            return Err(InputClosed::Detached);
        }
        Ok(())
    }

    /// Ends the process's stdin; its output goes on.
    pub fn close(self) {}
}

/// Looks for the detach keys in what a client types.
#[derive(Debug)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

/// ctrl-p ctrl-q, Docker's default.
pub(crate) const DEFAULT_DETACH_KEYS: [u8; 2] = [16, 17];

impl DetachKeys {
    /// `None` if there is nothing to look for.
    pub(crate) fn new(keys: Vec<u8>) -> Option<Self> {
        if keys.is_empty() { None } else { Some(DetachKeys { keys, matched: 0 }) }
    }

    /// What is to be passed on of `data`, and whether the keys were typed.
    ///
    /// Keys that began a match are held back until it fails; the text after a match is dropped.
    fn filter(&mut self, data: Bytes) -> (Bytes, bool) {
        if self.matched == 0 && !data.contains(&self.keys[0]) {
            return (data, false);
        }
        let mut passed = Vec::with_capacity(data.len() + self.matched);
        for &byte in &data {
            if byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    self.matched = 0;
                    return (passed.into(), true);
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if byte == self.keys[0] {
                self.matched = 1;
            } else {
                passed.push(byte);
            }
        }
        (passed.into(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pieces: &[&'static [u8]]) -> (Vec<u8>, bool) {
        let mut keys = DetachKeys::new(DEFAULT_DETACH_KEYS.to_vec()).unwrap();
        let mut passed = Vec::new();
        for piece in pieces {
            let (data, detached) = keys.filter(Bytes::from_static(piece));
            passed.extend_from_slice(&data);
            if detached {
                return (passed, true);
            }
        }
        (passed, false)
    }

    #[test]
    fn detach_keys_are_found_across_writes_and_never_swallow_text() {
        assert_eq!(filter(&[b"ls\n"]), (b"ls\n".to_vec(), false));
        assert_eq!(filter(&[b"a\x10\x11b"]), (b"a".to_vec(), true));
        assert_eq!(filter(&[b"a\x10", b"\x11"]), (b"a".to_vec(), true));
        assert_eq!(filter(&[b"a\x10", b"b"]), (b"a\x10b".to_vec(), false));
        assert_eq!(filter(&[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
    }
}
