//! Reading a tar stream, entry by entry, without trusting it.
//!
//! Everything that is held in memory has a limit; bodies are handed out as
//! slices of the input. Paths come out as they stood in the archive: making
//! them safe is the business of whoever uses them.

use std::io::{self, BufRead, Read};

use super::{
    BLOCK, EntryKind, Extent, TarError,
    header::{Header, HeaderKind},
    pax::PaxRecords,
    sparse::{self, PaxForm},
};

/// Longest pax header. Paths and attributes of one file: the kernel takes
/// 64 KiB per attribute, so this holds a good many.
const MAX_PAX_BYTES: u64 = 1 << 20;
/// Longest GNU long name; the kernel's paths end at 4 KiB.
const MAX_NAME_BYTES: u64 = 64 << 10;
/// Most headers in a row that only describe the next entry.
const MAX_PREFIX_HEADERS: u32 = 16;

/// One object of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path as written.
    pub(crate) path: Vec<u8>,
    /// What it is.
    pub(crate) kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Bytes of the file (with holes, for a sparse one).
    pub(crate) size: u64,
    /// Seconds and nanoseconds since the epoch.
    pub(crate) mtime: (i64, u32),
    /// Target of a link, as written.
    pub(crate) link: Vec<u8>,
    /// Device numbers.
    pub(crate) device: (u32, u32),
    /// Extended attributes.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the body's bytes go, if there are holes.
    pub(crate) sparse: Option<Vec<Extent>>,
}

/// A tar stream.
pub(crate) struct TarReader<R> {
    input: R,
    /// Bytes of the current body not handed out yet.
    body: u64,
    /// Zeros behind it.
    padding: u64,
    ended: bool,
}

impl<R: BufRead> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, body: 0, padding: 0, ended: false }
    }

    /// The next object; skips what is left of the current body.
    ///
    /// # Errors
    /// When the source fails or the bytes are no tar stream.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut described = Described::default();
        for _ in 0..MAX_PREFIX_HEADERS {
            self.skip_body()?;
            let Some(header) = self.read_header()? else {
                self.ended = true;
                return Ok(None);
            };
            self.set_body(header.size);
            match header.kind {
                HeaderKind::Pax => {
                    described.pax =
                        PaxRecords::parse(&self.read_all(MAX_PAX_BYTES, "pax header")?)?;
                }
                // Git writes one with the commit's name; nothing in it is ours.
                HeaderKind::PaxGlobal if header.size > MAX_PAX_BYTES => {
                    return Err(TarError::format("pax header is too long"));
                }
                HeaderKind::PaxGlobal => {}
                HeaderKind::GnuLongName => {
                    described.path = Some(self.read_name()?);
                }
                HeaderKind::GnuLongLink => {
                    described.link = Some(self.read_name()?);
                }
                HeaderKind::Object(kind) => return self.object(header, kind, described).map(Some),
                HeaderKind::GnuSparse => {
                    return self.object(header, EntryKind::Regular, described).map(Some);
                }
            }
        }
        Err(TarError::format("too many headers for one entry"))
    }

    /// Some of the current body's bytes; empty at its end.
    ///
    /// # Errors
    /// When the source fails or ends early.
    pub(crate) fn body_chunk(&mut self) -> io::Result<&[u8]> {
        if self.body == 0 {
            return Ok(&[]);
        }
        let chunk = self.input.fill_buf()?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::try_from(self.body).unwrap_or(usize::MAX).min(chunk.len());
        Ok(&chunk[..length])
    }

    /// Marks bytes of the last chunk as used.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.body -= bytes as u64;
    }

    /// The current body as a reader.
    pub(crate) fn body(&mut self) -> Body<'_, R> {
        Body(self)
    }

    /// Reads the stream to its end: what stands behind the last entry is part
    /// of the layer's digest.
    ///
    /// # Errors
    /// When the source fails.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        loop {
            let length = self.input.fill_buf()?.len();
            if length == 0 {
                return Ok(());
            }
            self.input.consume(length);
        }
    }

    fn object(
        &mut self,
        header: Header,
        kind: EntryKind,
        mut described: Described,
    ) -> Result<Entry, TarError> {
        let pax = &mut described.pax;
        if let Some(size) = pax.size {
            self.set_body(size);
        }
        let mut size = self.body;
        let mut extents = None;
        if header.kind == HeaderKind::GnuSparse {
            let (map, real) = sparse::read_gnu_map(&header.block, &mut self.input)?;
            (extents, size) = (Some(map), real);
        } else if kind == EntryKind::Regular {
            match pax.sparse.form()? {
                PaxForm::Plain => {}
                PaxForm::InRecords(map, real) => (extents, size) = (Some(map), real),
                PaxForm::InData(real) => {
                    let (map, _) = sparse::read_data_map(&mut self.body())?;
                    (extents, size) = (Some(map), real);
                }
            }
        } else if kind != EntryKind::Regular {
            // Only files have bodies; Go and GNU tar ignore a size elsewhere.
            self.set_body(0);
            size = 0;
        }
        if let Some(map) = &extents {
            sparse::check(map, size, self.body)?;
        }
        let path = pax.sparse.name.take().or(pax.path.take()).or(described.path);
        let link = pax.link.take().or(described.link);
        Ok(Entry {
            path: path.unwrap_or_else(|| header.path()),
            kind,
            mode: header.mode()?,
            uid: owner(pax.uid.map_or_else(|| header.uid(), Ok)?, "uid")?,
            gid: owner(pax.gid.map_or_else(|| header.gid(), Ok)?, "gid")?,
            size,
            mtime: pax.mtime.map_or_else(|| header.mtime().map(|seconds| (seconds, 0)), Ok)?,
            link: link.unwrap_or_else(|| header.link()),
            device: match kind {
                EntryKind::CharDevice | EntryKind::BlockDevice => header.device()?,
                _ => (0, 0),
            },
            xattrs: std::mem::take(&mut pax.xattrs),
            sparse: extents,
        })
    }

    fn set_body(&mut self, size: u64) {
        self.body = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// `None` at the end: a block of zeros, or no more bytes.
    fn read_header(&mut self) -> Result<Option<Header>, TarError> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        self.input.read_exact(&mut block)?;
        if block.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        Header::parse(block).map(Some)
    }

    fn skip_body(&mut self) -> io::Result<()> {
        let mut left = self.body.saturating_add(self.padding);
        (self.body, self.padding) = (0, 0);
        while left > 0 {
            let length = self.input.fill_buf()?.len();
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(length);
            self.input.consume(step);
            left -= step as u64;
        }
        Ok(())
    }

    fn read_all(&mut self, limit: u64, what: &str) -> Result<Vec<u8>, TarError> {
        if self.body > limit {
            return Err(TarError::format(format!("{what} is too long")));
        }
        let mut bytes = Vec::new();
        self.body().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_name(&mut self) -> Result<Vec<u8>, TarError> {
        let mut name = self.read_all(MAX_NAME_BYTES, "long name")?;
        if let Some(end) = name.iter().position(|&b| b == 0) {
            name.truncate(end);
        }
        Ok(name)
    }
}

/// What headers in front of an entry say about it.
#[derive(Default)]
struct Described {
    pax: PaxRecords,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn owner(id: i64, what: &str) -> Result<u32, TarError> {
    // The largest value means "no change" to the kernel.
    u32::try_from(id)
        .ok()
        .filter(|&id| id != u32::MAX)
        .ok_or_else(|| TarError::format(format!("{what} {id} is out of range")))
}

/// The current entry's bytes.
pub(crate) struct Body<'a, R>(&'a mut TarReader<R>);

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.0.body_chunk()?;
        let length = chunk.len().min(buffer.len());
        buffer[..length].copy_from_slice(&chunk[..length]);
        self.0.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Body<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.body_chunk()
    }

    fn consume(&mut self, bytes: usize) {
        self.0.consume(bytes);
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
