//! Docker's stream format, read: which bytes came from which stream.

use anyhow::{Result, bail};
use bytes::{Buf, Bytes, BytesMut};

/// The longest frame taken from a daemon: far above any log line.
const MAX_FRAME: usize = 64 << 20;

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard output (or a terminal).
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it came from.
    pub(crate) source: Source,
    /// The bytes.
    pub(crate) data: Bytes,
}

/// Cuts a stream into frames; bytes go in as they come.
#[derive(Debug)]
pub(crate) struct FrameReader {
    raw: bool,
    held: BytesMut,
}

impl FrameReader {
    /// A reader for a terminal's raw bytes or for frames.
    pub(crate) fn new(tty: bool) -> Self {
        Self { raw: tty, held: BytesMut::new() }
    }

    /// Takes bytes in.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes are no frames, or the daemon reports an error in them.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>> {
        if self.raw {
            let data = self.held.split().freeze();
            return Ok((!data.is_empty()).then_some(Frame { source: Source::Stdout, data }));
        }
        let Some(header) = self.held.first_chunk::<8>().copied() else { return Ok(None) };
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if length > MAX_FRAME {
            bail!("the daemon's stream is not in frames");
        }
        if self.held.len() < 8 + length {
            return Ok(None);
        }
        self.held.advance(8);
        let data = self.held.split_to(length).freeze();
        match header[0] {
            0 | 1 => Ok(Some(Frame { source: Source::Stdout, data })),
            2 => Ok(Some(Frame { source: Source::Stderr, data })),
            3 => bail!("error from daemon in stream: {}", String::from_utf8_lossy(&data).trim()),
            other => bail!("the daemon's stream has an unknown channel {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_put_together_from_any_pieces() {
        let mut reader = FrameReader::new(false);
        let mut seen = Vec::new();
        for byte in b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x01c" {
            reader.feed(&[*byte]);
            seen.extend(reader.next().expect("frames"));
        }
        let frame = |source, data: &'static [u8]| Frame { source, data: Bytes::from_static(data) };
        assert_eq!(seen, [frame(Source::Stdout, b"ab"), frame(Source::Stderr, b"c")]);
        reader.feed(b"\x03\0\0\0\0\0\0\x03bad");
        assert!(reader.next().is_err());
    }
}
