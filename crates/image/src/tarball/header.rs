//! One 512-byte header block.

use super::{
    TarError,
    number::{parse, parse_unsigned},
};

/// Tar counts in blocks of this many bytes.
pub(crate) const BLOCK: usize = 512;

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A file with content.
    Regular,
    /// Another name for a file of the archive.
    Hardlink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// What a header says about the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderKind {
    /// An object.
    Object(EntryKind),
    /// A file in GNU's old sparse form.
    GnuSparse,
    /// pax records for the next entry.
    Pax,
    /// pax records for the rest of the archive.
    PaxGlobal,
    /// GNU: the next entry's path.
    GnuLongName,
    /// GNU: the next entry's link target.
    GnuLongLink,
}

/// A header block, with the fields every kind has already read.
pub(super) struct Header {
    pub(super) block: [u8; BLOCK],
    pub(super) kind: HeaderKind,
    pub(super) size: u64,
}

impl Header {
    /// Checks the sum and reads what the reader needs first.
    pub(super) fn parse(block: [u8; BLOCK]) -> Result<Self, TarError> {
        check_sum(&block)?;
        let size = parse_unsigned(&block[124..136], "size")?;
        let is_ustar = &block[257..262] == b"ustar";
        let kind = match block[156] {
            0 if !is_ustar && text(&block[..100]).ends_with(b"/") => {
                HeaderKind::Object(EntryKind::Directory)
            }
            0 | b'0' | b'7' => HeaderKind::Object(EntryKind::Regular),
            b'1' => HeaderKind::Object(EntryKind::Hardlink),
            b'2' => HeaderKind::Object(EntryKind::Symlink),
            b'3' => HeaderKind::Object(EntryKind::CharDevice),
            b'4' => HeaderKind::Object(EntryKind::BlockDevice),
            b'5' => HeaderKind::Object(EntryKind::Directory),
            b'6' => HeaderKind::Object(EntryKind::Fifo),
            b'S' => HeaderKind::GnuSparse,
            b'x' | b'X' => HeaderKind::Pax,
            b'g' => HeaderKind::PaxGlobal,
            b'L' => HeaderKind::GnuLongName,
            b'K' => HeaderKind::GnuLongLink,
            other => {
                return Err(TarError::format(format!(
                    "unhandled tar header type {:?}",
                    char::from(other)
                )));
            }
        };
        Ok(Self { block, kind, size })
    }

    /// The path, with ustar's prefix.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        // GNU puts other things where POSIX has the prefix.
        let is_posix = &self.block[257..263] == b"ustar\0";
        let prefix = if is_posix { text(&self.block[345..500]) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u32, TarError> {
        // Some writers put the file type into the upper bits.
        Ok((parse(&self.block[100..108], "mode")? & 0o7777) as u32)
    }

    pub(super) fn uid(&self) -> Result<i64, TarError> {
        parse(&self.block[108..116], "uid")
    }

    pub(super) fn gid(&self) -> Result<i64, TarError> {
        parse(&self.block[116..124], "gid")
    }

    pub(super) fn mtime(&self) -> Result<i64, TarError> {
        parse(&self.block[136..148], "mtime")
    }

    /// Device numbers; zero where the format has none.
    pub(super) fn device(&self) -> Result<(u32, u32), TarError> {
        if &self.block[257..262] != b"ustar" {
            return Ok((0, 0));
        }
        let number = |range, what| {
            u32::try_from(parse_unsigned(&self.block[range], what)?)
                .map_err(|_| TarError::format(format!("header field {what} is too big")))
        };
        Ok((number(329..337, "devmajor")?, number(337..345, "devminor")?))
    }
}

/// The bytes of a field up to its NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// The sum is taken with the field itself as blanks. Old writers summed
/// signed bytes.
fn check_sum(block: &[u8; BLOCK]) -> Result<(), TarError> {
    let wrong = || TarError::format("invalid tar header");
    let stated = parse(&block[148..156], "checksum").map_err(|_| wrong())?;
    let others = || block[..148].iter().chain(&block[156..]);
    let blanks = 8 * i64::from(b' ');
    let unsigned: i64 = blanks + others().map(|&b| i64::from(b)).sum::<i64>();
    let signed: i64 = blanks + others().map(|&b| i64::from(b.cast_signed())).sum::<i64>();
    if stated == unsigned || stated == signed { Ok(()) } else { Err(wrong()) }
}

/// Puts the sum of `block` into its place.
pub(super) fn seal(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
    super::number::write_octal(&mut block[148..155], sum);
}
