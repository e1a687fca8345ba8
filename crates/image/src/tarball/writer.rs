//! Writing tar streams: ustar, with pax records where ustar has no room.
//!
//! The same entries always give the same bytes: no clock, no owner names, and
//! records in a fixed order.

use std::io::{self, Write};

use super::{
    BLOCK, Entry, EntryKind,
    header::seal,
    number::write_octal,
    pax::{XATTR_PREFIX, write_record},
};

/// A tar stream being written.
pub(crate) struct TarWriter<W> {
    out: W,
    /// Bytes of the current body still to come.
    body: u64,
    padding: usize,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, body: 0, padding: 0 }
    }

    /// Begins an entry; its body, if it has one, is written next.
    ///
    /// # Errors
    /// When `out` fails, or the body before is not complete.
    pub(crate) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.finish_body()?;
        let mut records = Vec::new();
        let mut block = plain_header(entry, &mut records);
        if !records.is_empty() {
            self.pax_header(&records)?;
        }
        seal(&mut block);
        self.out.write_all(&block)?;
        if entry.kind == EntryKind::Regular {
            self.begin_body(entry.size);
        }
        Ok(())
    }

    /// Writes some of the current body.
    ///
    /// # Errors
    /// When `out` fails, or there is more than the entry said.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.body = self.body.checked_sub(bytes.len() as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "file is longer than it was")
        })?;
        self.out.write_all(bytes)
    }

    /// Bytes of the current body still to come.
    pub(crate) fn missing(&self) -> u64 {
        self.body
    }

    /// Writes the end of the archive.
    ///
    /// # Errors
    /// When `out` fails, or the last body is not complete.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.finish_body()?;
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn pax_header(&mut self, records: &[u8]) -> io::Result<()> {
        let mut block = [0; BLOCK];
        block[..9].copy_from_slice(b"PaxHeader");
        common_fields(&mut block, 0o644, b'x');
        write_octal(&mut block[124..136], records.len() as u64);
        write_octal(&mut block[136..148], 0);
        seal(&mut block);
        self.out.write_all(&block)?;
        self.begin_body(records.len() as u64);
        self.data(records)?;
        self.finish_body()
    }

    fn begin_body(&mut self, size: u64) {
        self.body = size;
        self.padding = (size.wrapping_neg() % BLOCK as u64) as usize;
    }

    fn finish_body(&mut self) -> io::Result<()> {
        if self.body > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "file is shorter than it was"));
        }
        self.out.write_all(&[0; BLOCK][..self.padding])?;
        self.padding = 0;
        Ok(())
    }
}

/// The ustar header; what does not fit goes to `records`.
fn plain_header(entry: &Entry, records: &mut Vec<u8>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    common_fields(&mut block, entry.mode, type_flag(entry.kind));
    let size = if entry.kind == EntryKind::Regular { entry.size } else { 0 };
    number_field(&mut block[108..116], u64::from(entry.uid), b"uid", records);
    number_field(&mut block[116..124], u64::from(entry.gid), b"gid", records);
    number_field(&mut block[124..136], size, b"size", records);
    let seconds = u64::try_from(entry.mtime.0).unwrap_or(0);
    number_field(&mut block[136..148], seconds, b"mtime", records);
    if !fits(&entry.link, 100) {
        write_record(records, b"linkpath", &entry.link);
    }
    let length = entry.link.len().min(100);
    block[157..157 + length].copy_from_slice(&entry.link[..length]);
    write_octal(&mut block[329..337], u64::from(entry.device.0));
    write_octal(&mut block[337..345], u64::from(entry.device.1));
    path_field(&mut block, &entry.path, records);
    let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
    xattrs.sort();
    for (name, value) in xattrs {
        write_record(records, &[XATTR_PREFIX, name].concat(), value);
    }
    block
}

fn common_fields(block: &mut [u8; BLOCK], mode: u32, flag: u8) {
    write_octal(&mut block[100..108], u64::from(mode));
    write_octal(&mut block[108..116], 0);
    write_octal(&mut block[116..124], 0);
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
}

fn type_flag(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::Regular => b'0',
        EntryKind::Hardlink => b'1',
        EntryKind::Symlink => b'2',
        EntryKind::CharDevice => b'3',
        EntryKind::BlockDevice => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

fn number_field(field: &mut [u8], value: u64, key: &[u8], records: &mut Vec<u8>) {
    if !write_octal(field, value) {
        write_octal(field, 0);
        write_record(records, key, value.to_string().as_bytes());
    }
}

/// Old readers take other bytes for some local character set.
fn fits(text: &[u8], length: usize) -> bool {
    text.len() <= length && text.is_ascii()
}

fn path_field(block: &mut [u8; BLOCK], path: &[u8], records: &mut Vec<u8>) {
    if fits(path, 100) {
        block[..path.len()].copy_from_slice(path);
        return;
    }
    if path.is_ascii()
        && let Some(slash) = split_point(path)
    {
        block[..path.len() - slash - 1].copy_from_slice(&path[slash + 1..]);
        block[345..345 + slash].copy_from_slice(&path[..slash]);
        return;
    }
    write_record(records, b"path", path);
    let length = path.len().min(100);
    block[..length].copy_from_slice(&path[..length]);
}

/// Where a path can be cut into ustar's prefix (155) and name (100).
fn split_point(path: &[u8]) -> Option<usize> {
    let slash = path.iter().take(156).rposition(|&b| b == b'/')?;
    // A trailing slash must stay with the name.
    (slash > 0 && slash + 1 < path.len() && path.len() - slash - 1 <= 100).then_some(slash)
}
