//! From a tar stream nobody vouches for to an overlay lower directory.
//!
//! Whiteouts become character devices 0:0, opaque marks the attribute overlay
//! reads. The directory is only of use once `unpack` has returned: callers
//! unpack aside and rename.

use std::{
    collections::HashSet,
    io::{self, BufReader, Read},
    os::fd::AsFd,
    path::Path,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, futimens, mkdirat, mknodat, statat},
    io::Errno,
};
use shoal_model::Digest;

use super::{
    LayerError, decoder,
    metadata::{set_metadata, times},
    path::{LayerPath, Name, classify},
    pipe::{CHUNK, ChunkReader, ChunkWriter, channel, sum_of},
    root::{Root, c_name, open_directory},
    xattr,
};
use crate::tarball::{Entry, EntryKind, TarReader};

/// Most objects of one layer. The largest images people publish have some
/// hundred thousand; this keeps the lists below at a few hundred MiB.
const MAX_ENTRIES: u64 = 5_000_000;
/// Most bytes of one layer, holes counted: a hole costs nothing to make and
/// everything to send on.
const MAX_BYTES: u64 = 1 << 40;

/// Most bytes of the paths in the lists below: real layers stay far below, and
/// paths of full length would make them gigabytes.
const MAX_KEPT_PATHS: u64 = 256 << 20;

/// What was unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// Digest of the uncompressed tar stream.
    pub(crate) diff_id: Digest,
    /// Its bytes.
    pub(crate) tar_size: u64,
    /// Bytes of regular files.
    pub(crate) size: u64,
}

/// Unpacks `input`, compressed or not, into the empty directory `target`, and
/// reads it to its end.
///
/// # Errors
/// When the stream is wrong or the file system refuses; `target` then holds
/// part of the layer and is the caller's to remove.
pub(crate) fn unpack(input: impl Read + Send, target: &Path) -> Result<Unpacked, LayerError> {
    let source = |error: io::Error| LayerError::Source(error.into());
    std::thread::scope(|scope| {
        let (mut to_tar, tar) = channel();
        let (mut to_sum, sum) = channel();
        let spawn = |name: &str| std::thread::Builder::new().name(name.into());
        let decoding = spawn("layer-decode")
            .spawn_scoped(scope, move || {
                match decode(input, &mut to_tar, &mut to_sum) {
                    Ok(()) => {
                        // The tar reader may have left; the sum never does.
                        let _ = to_tar.finish();
                        let _ = to_sum.finish();
                    }
                    Err(error) => to_tar.fail(error),
                }
            })
            .map_err(source)?;
        let summing =
            spawn("layer-sum").spawn_scoped(scope, move || sum_of(sum)).map_err(source)?;
        let size = Unpacker::open(target)?.run(TarReader::new(tar))?;
        let panicked = |_| io::Error::other("a thread of the unpacking died");
        decoding.join().map_err(panicked).map_err(source)?;
        let (diff_id, tar_size) =
            summing.join().map_err(panicked).and_then(|summed| summed).map_err(source)?;
        Ok(Unpacked { diff_id, tar_size, size })
    })
}

/// Feeds both readers with the uncompressed stream, then reads `input` to its
/// end, which may lie behind that of the compressed data.
fn decode(
    input: impl Read + Send,
    to_tar: &mut ChunkWriter,
    to_sum: &mut ChunkWriter,
) -> io::Result<()> {
    let mut input = BufReader::with_capacity(CHUNK, input);
    let (mut plain, _) = decoder(&mut input)?;
    let mut size = 0;
    loop {
        let mut chunk = vec![0; CHUNK];
        let length = read_full(&mut plain, &mut chunk)?;
        if length == 0 {
            break;
        }
        size += length as u64;
        if size > MAX_BYTES {
            return Err(io::Error::other(format!("the layer has more than {MAX_BYTES} bytes")));
        }
        chunk.truncate(length);
        let chunk = bytes::Bytes::from(chunk);
        to_sum.send(chunk.clone())?;
        to_tar.send(chunk)?;
    }
    drop(plain);
    io::copy(&mut input, &mut io::sink())?;
    Ok(())
}

fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Writes objects into one directory.
pub(super) struct Unpacker {
    pub(super) root: Root,
    entries: u64,
    bytes: u64,
    kept_paths: u64,
    pub(super) size: u64,
    /// Times of directories, to be set when nothing changes them any more.
    directories: Vec<(LayerPath, (i64, u32))>,
    /// Names this layer has hidden: a directory made there later hides the
    /// one below, instead of being merged with it.
    hidden: HashSet<LayerPath>,
}

impl Unpacker {
    fn open(target: &Path) -> Result<Self, LayerError> {
        let root = Root::open(target)
            .map_err(LayerError::io("open", target.as_os_str().as_encoded_bytes()))?;
        Ok(Self {
            root,
            entries: 0,
            bytes: 0,
            kept_paths: 0,
            size: 0,
            directories: Vec::new(),
            hidden: HashSet::new(),
        })
    }

    fn run(mut self, mut tar: TarReader<ChunkReader>) -> Result<u64, LayerError> {
        while let Some(entry) = tar.next()? {
            self.count(&entry)?;
            self.apply(&entry, &mut tar)?;
        }
        tar.drain().map_err(|error| LayerError::Source(error.into()))?;
        self.set_directory_times()?;
        Ok(self.size)
    }

    fn count(&mut self, entry: &Entry) -> Result<(), LayerError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.entries > MAX_ENTRIES {
            return Err(LayerError::TooMuch { what: "entries", limit: MAX_ENTRIES });
        }
        if self.bytes > MAX_BYTES {
            return Err(LayerError::TooMuch { what: "bytes", limit: MAX_BYTES });
        }
        Ok(())
    }

    fn apply(&mut self, entry: &Entry, tar: &mut TarReader<ChunkReader>) -> Result<(), LayerError> {
        let path = LayerPath::parse(&entry.path)?;
        if path.is_root() {
            return self.root_directory(entry);
        }
        let (parent, name) = path.split();
        match classify(name)? {
            Name::Ignored => Ok(()),
            Name::Opaque => self
                .root
                .directory(parent)
                .and_then(xattr::set_opaque)
                .map_err(LayerError::io("mark as opaque", parent)),
            Name::Whiteout(hidden) => self.whiteout(path.sibling(hidden)),
            Name::Plain => match entry.kind {
                EntryKind::Directory => self.directory(entry, path),
                EntryKind::Regular => self.file(entry, &path, tar),
                EntryKind::Hardlink => self.hardlink(entry, &path),
                EntryKind::Symlink => self.symlink(entry, &path),
                EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Fifo => {
                    self.node(entry, &path)
                }
            },
        }
    }

    /// `./` gives the root its owner and mode.
    fn root_directory(&mut self, entry: &Entry) -> Result<(), LayerError> {
        if entry.kind != EntryKind::Directory {
            return Err(LayerError::Path(String::from_utf8_lossy(&entry.path).into_owned()));
        }
        let failed = LayerError::io("set the mode of", b"");
        self.root.directory(b"").and_then(|fd| set_metadata(fd, entry)).map_err(failed)?;
        self.directories.push((LayerPath::parse(b"")?, entry.mtime));
        Ok(())
    }

    /// A whiteout speaks of the layers below; what this layer itself has put
    /// there stays, and hides what is below.
    fn whiteout(&mut self, path: LayerPath) -> Result<(), LayerError> {
        let (parent, name) = path.split();
        let failed = |error| LayerError::io("hide", path.as_bytes())(error);
        let name = c_name(name).map_err(failed)?;
        let directory = self.root.directory(parent).map_err(failed)?;
        match mknodat(directory, &name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let status = statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| failed(error.into()))?;
                if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                    open_directory(directory, &name)
                        .and_then(|fd| xattr::set_opaque(fd.as_fd()))
                        .map_err(failed)?;
                }
            }
            Err(error) => return Err(failed(error.into())),
        }
        self.keep(&path)?;
        self.hidden.insert(path);
        Ok(())
    }

    fn directory(&mut self, entry: &Entry, path: LayerPath) -> Result<(), LayerError> {
        let failed = |error| LayerError::io("mkdir", path.as_bytes())(error);
        let (parent, name) = path.split();
        let name_c = c_name(name).map_err(failed)?;
        let made = self.root.directory(parent).and_then(|directory| {
            match mkdirat(directory, &name_c, Mode::from_raw_mode(0o700)) {
                Err(Errno::EXIST) => {
                    let status = statat(directory, &name_c, AtFlags::SYMLINK_NOFOLLOW)?;
                    Ok(FileType::from_raw_mode(status.st_mode) == FileType::Directory)
                }
                other => Ok(other.map(|()| true)?),
            }
        });
        if !made.map_err(failed)? {
            self.root.remove(parent, name).map_err(failed)?;
            let directory = self.root.directory(parent).map_err(failed)?;
            mkdirat(directory, &name_c, Mode::from_raw_mode(0o700))
                .map_err(|error| failed(error.into()))?;
        }
        let opaque = self.hidden.contains(&path);
        let directory = self.root.directory(parent).map_err(failed)?;
        let fd = open_directory(directory, &name_c).map_err(failed)?;
        set_metadata(fd.as_fd(), entry).map_err(failed)?;
        if opaque {
            xattr::set_opaque(fd.as_fd()).map_err(failed)?;
        }
        self.keep(&path)?;
        self.directories.push((path, entry.mtime));
        Ok(())
    }

    /// Counts a path that is remembered to the end.
    fn keep(&mut self, path: &LayerPath) -> Result<(), LayerError> {
        self.kept_paths += path.as_bytes().len() as u64;
        if self.kept_paths > MAX_KEPT_PATHS {
            return Err(LayerError::TooMuch {
                what: "bytes in the paths of directories",
                limit: MAX_KEPT_PATHS,
            });
        }
        Ok(())
    }

    fn set_directory_times(&mut self) -> Result<(), LayerError> {
        for (path, mtime) in &self.directories {
            // It may have been replaced by something else since.
            match self.root.existing(path.as_bytes()) {
                Ok(fd) => futimens(&fd, &times(*mtime)).map_err(|error| {
                    LayerError::io("set the time of", path.as_bytes())(error.into())
                })?,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) => {}
                Err(error) => return Err(LayerError::io("open", path.as_bytes())(error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
