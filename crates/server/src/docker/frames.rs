//! Docker's stream format: how several streams share one connection.
//!
//! Without a terminal each piece of output is preceded by
//! `[stream, 0, 0, 0, length as u32 big endian]`; with one, the bytes are raw.

use bytes::{BufMut, Bytes, BytesMut};

/// Which stream a piece of output belongs to, as Docker numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Channel {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// The daemon's own words when the stream cannot go on.
    SystemError = 3,
}

/// How a connection carries output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Raw bytes: a terminal.
    Raw,
    /// Frames with a header each.
    Multiplexed,
}

impl Framing {
    /// The framing for a process with or without a terminal.
    pub(crate) fn of(tty: bool) -> Self {
        if tty { Self::Raw } else { Self::Multiplexed }
    }

    /// The media type that names this framing. Before API 1.42 both were
    /// called raw.
    pub(crate) fn media_type(self, version: super::version::ApiVersion) -> &'static str {
        match self {
            Self::Multiplexed if version.at_least(42) => {
                "application/vnd.docker.multiplexed-stream"
            }
            _ => "application/vnd.docker.raw-stream",
        }
    }

    /// One piece of output as it goes over the connection.
    pub(crate) fn wrap(self, channel: Channel, data: Bytes) -> Bytes {
        match self {
            Self::Raw => data,
            Self::Multiplexed => frame(channel, &data),
        }
    }
}

fn frame(channel: Channel, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + data.len());
    frame.put_slice(&[channel as u8, 0, 0, 0]);
    // The engine's pieces are at most a log line or a pipe's buffer long.
    frame.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    frame.put_slice(data);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_dockers_header() {
        let wrapped = Framing::Multiplexed.wrap(Channel::Stderr, Bytes::from_static(b"abc"));
        assert_eq!(&wrapped[..], b"\x02\0\0\0\0\0\0\x03abc");
        assert_eq!(&Framing::Raw.wrap(Channel::Stdout, Bytes::from_static(b"abc"))[..], b"abc");
    }
}
