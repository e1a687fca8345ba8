//! Which compression a stream has, by its first bytes.

use std::io::{self, Cursor, Read};

use super::ContextError;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// The beginning of a stream with the rest behind it.
pub(crate) type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Looks at the first bytes and gives the stream back whole.
pub(crate) fn detect<R: Read>(mut stream: R) -> io::Result<(Compression, Peeked<R>)> {
    const MAGIC_BYTES: u64 = 6;
    let mut head = Vec::new();
    stream.by_ref().take(MAGIC_BYTES).read_to_end(&mut head)?;
    let compression = match head.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Compression::Xz,
        _ => Compression::None,
    };
    Ok((compression, Cursor::new(head).chain(stream)))
}

/// The stream uncompressed.
pub(crate) fn decoder<'a>(
    compression: Compression,
    stream: impl Read + 'a,
) -> Result<Box<dyn Read + 'a>, ContextError> {
    Ok(match compression {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(stream)),
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::new(stream).map_err(ContextError::Read)?)
        }
        Compression::Bzip2 => return Err(ContextError::Compression("bzip2")),
        Compression::Xz => return Err(ContextError::Compression("xz")),
    })
}
