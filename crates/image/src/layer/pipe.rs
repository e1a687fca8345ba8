//! Stages of work on one stream, each on its own thread, joined by bounded
//! channels of chunks: decompressing, summing and unpacking go side by side.

use std::{
    io::{self, BufRead, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use shoal_model::Digest;

/// Bytes handed on at once: large enough that the channel costs nothing.
pub(crate) const CHUNK: usize = 256 << 10;
/// Chunks that may wait between two stages (2 MiB of memory).
const DEPTH: usize = 8;

/// Both ends of a stage's channel.
pub(crate) fn channel() -> (ChunkWriter, ChunkReader) {
    let (sender, receiver) = sync_channel(DEPTH);
    (ChunkWriter { sender, buffer: Vec::new() }, ChunkReader { receiver, current: Bytes::new() })
}

/// The writing end. Bytes still buffered go out with [`ChunkWriter::finish`];
/// a writer dropped before that makes the reader fail.
pub(crate) struct ChunkWriter {
    sender: SyncSender<io::Result<Option<Bytes>>>,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    /// Hands on a chunk as it is.
    ///
    /// # Errors
    /// When the reader is gone.
    pub(crate) fn send(&mut self, chunk: Bytes) -> io::Result<()> {
        self.flush()?;
        self.put(Ok(Some(chunk)))
    }

    /// Says that all is written.
    ///
    /// # Errors
    /// When the reader is gone.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.put(Ok(None))
    }

    /// Says that no more can come. A reader that is gone does not mind.
    pub(crate) fn fail(self, error: io::Error) {
        let _ = self.put(Err(error));
    }

    fn put(&self, item: io::Result<Option<Bytes>>) -> io::Result<()> {
        self.sender.send(item).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(CHUNK);
        }
        let length = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.buffer);
        self.put(Ok(Some(chunk.into())))
    }
}

/// The reading end.
pub(crate) struct ChunkReader {
    receiver: Receiver<io::Result<Option<Bytes>>>,
    current: Bytes,
}

impl ChunkReader {
    /// The next chunk whole; `None` at the end.
    ///
    /// # Errors
    /// The writer's, or that it left without finishing.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if !self.current.is_empty() {
            return Ok(Some(std::mem::take(&mut self.current)));
        }
        match self.receiver.recv() {
            Ok(item) => {
                let item = item?;
                if item.is_none() {
                    // Reading again at the end must give the end again.
                    let (sender, receiver) = sync_channel(1);
                    let _ = sender.send(Ok(None));
                    self.receiver = receiver;
                }
                Ok(item)
            }
            Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.chunk()? {
                Some(chunk) => self.current = chunk,
                None => break,
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, bytes: usize) {
        bytes::Buf::advance(&mut self.current, bytes);
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// The digest of everything a reader gives, and how much it was.
///
/// # Errors
/// The reader's.
pub(crate) fn sum_of(mut input: ChunkReader) -> io::Result<(Digest, u64)> {
    let mut sum = Sha256::new();
    let mut size = 0;
    while let Some(chunk) = input.chunk()? {
        sum.update(&chunk);
        size += chunk.len() as u64;
    }
    Ok((Digest::sha256(sum.finalize().into()), size))
}

/// Passes bytes on and sums them.
pub(crate) struct SumWriter<W> {
    out: W,
    sum: Sha256,
    size: u64,
}

impl<W: Write> SumWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, sum: Sha256::new(), size: 0 }
    }

    /// The writer, the digest and how much went through.
    pub(crate) fn finish(self) -> (W, Digest, u64) {
        (self.out, Digest::sha256(self.sum.finalize().into()), self.size)
    }
}

impl<W: Write> Write for SumWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
