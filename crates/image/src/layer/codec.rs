//! Which compression a stream has, by its first bytes: media types lie, and
//! archives have none.

use std::io::{self, BufRead, Read};

/// Ways a layer may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// gzip, possibly of several members.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// Recognises the compression of a stream that begins with `start`.
///
/// # Errors
/// For compressions that Docker takes and this crate does not.
pub(crate) fn sniff(start: &[u8]) -> io::Result<Compression> {
    let unsupported = |name: &str| {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{name} compression is not supported"),
        ))
    };
    match start {
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
        // A skippable frame in front (as zstd:chunked writes it).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [b'B', b'Z', b'h', ..] => unsupported("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => unsupported("xz"),
        _ => Ok(Compression::None),
    }
}

/// The uncompressed stream of `input`.
///
/// # Errors
/// When the first bytes cannot be read or the compression is not supported.
pub(crate) fn decoder<'a>(
    mut input: impl BufRead + Send + 'a,
) -> io::Result<(Box<dyn Read + Send + 'a>, Compression)> {
    let compression = sniff(input.fill_buf()?)?;
    let reader: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
    };
    Ok((reader, compression))
}
