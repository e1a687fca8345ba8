//! Frames as bytes, both ways, without IO.
//!
//! The decoder is fed whatever a read returned and gives back whole frames. It
//! never holds more than one frame's limit plus what it was last fed.

use serde::Deserialize;
use shoal_model::{Classify, Kind};

use super::{MAX_MESSAGE_PAYLOAD, MAX_STREAM_PAYLOAD, Request, Response};
use crate::bundle::ExitRecord;

/// Bytes before each payload.
pub const HEADER_LENGTH: usize = 8;

/// What a frame carries; the numbers 0, 1 and 2 are Docker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FrameKind {
    /// Bytes for the container.
    Stdin = 0,
    /// Bytes from the container.
    Stdout = 1,
    /// Bytes from the container.
    Stderr = 2,
    /// No more input.
    StdinClose = 8,
    /// A [`Request`].
    Request = 16,
    /// A [`Response`].
    Response = 17,
    /// The end of a stream: an [`ExitRecord`].
    End = 18,
}

impl FrameKind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Stdin,
            1 => Self::Stdout,
            2 => Self::Stderr,
            8 => Self::StdinClose,
            16 => Self::Request,
            17 => Self::Response,
            18 => Self::End,
            _ => return None,
        })
    }

    /// Longest payload of this kind.
    pub const fn max_payload(self) -> usize {
        match self {
            Self::Stdin | Self::Stdout | Self::Stderr => MAX_STREAM_PAYLOAD,
            Self::StdinClose => 0,
            Self::Request | Self::Response | Self::End => MAX_MESSAGE_PAYLOAD,
        }
    }
}

/// The other side does not speak the protocol.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The header is not one.
    #[error("unknown frame header {0:02x?}")]
    Header([u8; HEADER_LENGTH]),
    /// The payload is longer than its kind allows.
    #[error("{kind:?} frame of {length} bytes is longer than {}", kind.max_payload())]
    TooLong {
        /// Which kind.
        kind: FrameKind,
        /// The announced length.
        length: usize,
    },
    /// The payload is not the JSON it should be.
    #[error("malformed {kind:?} message")]
    Message {
        /// Which kind.
        kind: FrameKind,
        /// What the JSON reader says.
        source: serde_json::Error,
    },
}

impl Classify for FrameError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

/// One whole frame, borrowed from the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The payload as a [`Request`].
    pub fn request(&self) -> Result<Request, FrameError> {
        self.message()
    }

    /// The payload as a [`Response`].
    pub fn response(&self) -> Result<Response, FrameError> {
        self.message()
    }

    /// The payload as the record an `End` frame carries.
    pub fn exit(&self) -> Result<ExitRecord, FrameError> {
        self.message()
    }

    fn message<T: Deserialize<'a>>(&self) -> Result<T, FrameError> {
        serde_json::from_slice(self.payload)
            .map_err(|source| FrameError::Message { kind: self.kind, source })
    }
}

/// Collects bytes until they are frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the first frame not given out yet begins.
    start: usize,
}

impl Decoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a read returned.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if it is there. After an error the stream is lost:
    /// where the next frame begins is unknown.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(header) = self.buffer[self.start..].first_chunk::<HEADER_LENGTH>() else {
            return Ok(None);
        };
        let (kind, length) = decode_header(header)?;
        let begin = self.start + HEADER_LENGTH;
        if self.buffer.len() < begin + length {
            return Ok(None);
        }
        self.start = begin + length;
        Ok(Some(Frame { kind, payload: &self.buffer[begin..begin + length] }))
    }

    /// Bytes held that are not given out.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Gives memory back when nothing is pending; for connections that idle.
    pub fn shrink(&mut self) {
        if self.pending() == 0 {
            *self = Self::default();
        }
    }
}

/// Kind and payload length of the frame that begins with `header`.
pub fn decode_header(header: &[u8; HEADER_LENGTH]) -> Result<(FrameKind, usize), FrameError> {
    let [kind, 0, 0, 0, length @ ..] = *header else {
        return Err(FrameError::Header(*header));
    };
    let kind = FrameKind::of(kind).ok_or(FrameError::Header(*header))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > kind.max_payload() {
        return Err(FrameError::TooLong { kind, length });
    }
    Ok((kind, length))
}

/// The header of a frame. `length` is within the kind's limit.
pub fn encode_header(kind: FrameKind, length: usize) -> [u8; HEADER_LENGTH] {
    debug_assert!(length <= kind.max_payload());
    let [a, b, c, d] = (length as u32).to_be_bytes();
    [kind as u8, 0, 0, 0, a, b, c, d]
}

/// Appends one frame, or as many as a long stream payload needs.
pub fn encode(kind: FrameKind, payload: &[u8], out: &mut Vec<u8>) {
    if payload.is_empty() {
        out.extend_from_slice(&encode_header(kind, 0));
        return;
    }
    for part in payload.chunks(kind.max_payload().max(1)) {
        out.extend_from_slice(&encode_header(kind, part.len()));
        out.extend_from_slice(part);
    }
}

/// Appends a request.
pub fn encode_request(request: &Request, out: &mut Vec<u8>) -> Result<(), FrameError> {
    encode_message(FrameKind::Request, request, out)
}

/// Appends a response.
pub fn encode_response(response: &Response, out: &mut Vec<u8>) -> Result<(), FrameError> {
    encode_message(FrameKind::Response, response, out)
}

/// Appends the end of a stream.
pub fn encode_end(record: &ExitRecord, out: &mut Vec<u8>) -> Result<(), FrameError> {
    encode_message(FrameKind::End, record, out)
}

fn encode_message(
    kind: FrameKind,
    message: &impl serde::Serialize,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let text =
        serde_json::to_vec(message).map_err(|source| FrameError::Message { kind, source })?;
    if text.len() > kind.max_payload() {
        return Err(FrameError::TooLong { kind, length: text.len() });
    }
    encode(kind, &text, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Operation, Outcome, Reply};

    #[test]
    fn frames_survive_any_split() {
        let mut bytes = Vec::new();
        encode_request(&Request { id: 7, operation: Operation::Wait }, &mut bytes).unwrap();
        encode(FrameKind::Stdin, b"hello", &mut bytes);
        encode(FrameKind::StdinClose, b"", &mut bytes);
        let response = Response { id: 7, outcome: Outcome::Ok(Reply::Done) };
        encode_response(&response, &mut bytes).unwrap();
        for step in 1..bytes.len() {
            let mut decoder = Decoder::new();
            let mut seen = Vec::new();
            for part in bytes.chunks(step) {
                decoder.push(part);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push((frame.kind, frame.payload.to_vec()));
                }
            }
            let kinds: Vec<_> = seen.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(
                kinds,
                [FrameKind::Request, FrameKind::Stdin, FrameKind::StdinClose, FrameKind::Response]
            );
            assert_eq!(seen[1].1, b"hello");
            assert_eq!(decoder.pending(), 0);
        }
    }

    #[test]
    fn a_long_payload_becomes_several_frames() {
        let mut bytes = Vec::new();
        let payload = vec![b'x'; MAX_STREAM_PAYLOAD * 2 + 1];
        encode(FrameKind::Stdout, &payload, &mut bytes);
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        let mut lengths = Vec::new();
        while let Some(frame) = decoder.next_frame().unwrap() {
            lengths.push(frame.payload.len());
        }
        assert_eq!(lengths, [MAX_STREAM_PAYLOAD, MAX_STREAM_PAYLOAD, 1]);
    }

    #[test]
    fn lies_about_the_length_are_refused_before_anything_is_stored() {
        for (kind, length) in [(0, MAX_STREAM_PAYLOAD + 1), (8, 1), (16, MAX_MESSAGE_PAYLOAD + 1)] {
            let [a, b, c, d] = (length as u32).to_be_bytes();
            let refused = decode_header(&[kind, 0, 0, 0, a, b, c, d]);
            assert!(matches!(refused, Err(FrameError::TooLong { .. })), "{refused:?}");
        }
        assert!(matches!(decode_header(b"GET / HT"), Err(FrameError::Header(_))));
    }
}
