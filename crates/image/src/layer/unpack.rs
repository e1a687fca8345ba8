//! From a tar stream nobody vouches for to an overlay lower directory.
//!
//! Whiteouts become character devices 0:0, opaque marks the attribute overlay
//! reads. The directory is only of use once `unpack` has returned: callers
//! unpack aside and rename.

use std::{
    collections::HashSet,
    io::{self, BufReader, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chmodat, chownat, fchmod,
        fchown, futimens, linkat, mkdirat, mknodat, openat, statat, symlinkat, utimensat,
    },
    io::Errno,
};
use shoal_model::Digest;

use super::{
    LayerError, decoder,
    path::{LayerPath, Name, classify},
    pipe::{CHUNK, ChunkReader, ChunkWriter, channel, sum_of},
    root::{Root, c_name},
    xattr,
};
use crate::tarball::{Entry, EntryKind, TarReader};

/// Most objects of one layer. The largest images people publish have some
/// hundred thousand; this keeps the lists below at a few hundred MiB.
const MAX_ENTRIES: u64 = 5_000_000;
/// Most bytes of one layer, holes counted: a hole costs nothing to make and
/// everything to send on.
const MAX_BYTES: u64 = 1 << 40;

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
struct Unpacker {
    root: Root,
    entries: u64,
    bytes: u64,
    size: u64,
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
        self.directories.push((path, entry.mtime));
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        path: &LayerPath,
        tar: &mut TarReader<ChunkReader>,
    ) -> Result<(), LayerError> {
        let failed = |error| LayerError::io("write", path.as_bytes())(error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = self
            .replace(path, |directory, name| {
                Ok(openat(directory, name, flags, Mode::from_raw_mode(0o600))?)
            })
            .map_err(failed)?;
        let file = std::fs::File::from(fd);
        match &entry.sparse {
            None => write_run(&file, path, tar, 0, entry.size)?,
            Some(map) => {
                for extent in map {
                    write_run(&file, path, tar, extent.offset, extent.length)?;
                }
                file.set_len(entry.size).map_err(failed)?;
            }
        }
        self.size += entry.size;
        set_metadata(file.as_fd(), entry).map_err(failed)?;
        futimens(&file, &times(entry.mtime)).map_err(|error| failed(error.into()))
    }

    fn hardlink(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
        let target = LayerPath::parse(&entry.link)?;
        if target.is_root() {
            return Err(LayerError::Path(String::from_utf8_lossy(&entry.link).into_owned()));
        }
        if target == *path {
            return Ok(());
        }
        let failed = |error| LayerError::io("link", path.as_bytes())(error);
        let (parent, name) = target.split();
        let name = c_name(name).map_err(failed)?;
        let source = self.root.existing(parent).map_err(failed)?;
        self.replace(path, |directory, new| {
            Ok(linkat(&source, &name, directory, new, AtFlags::empty())?)
        })
        .map_err(failed)
    }

    fn symlink(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
        let failed = |error| LayerError::io("symlink", path.as_bytes())(error);
        let target = c_name(&entry.link).map_err(failed)?;
        self.replace(path, |directory, name| Ok(symlinkat(&target, directory, name)?))
            .map_err(failed)?;
        self.set_metadata_at(entry, path).map_err(failed)
    }

    /// Devices are made as Docker makes them: whether a container may use
    /// them is decided by its cgroup.
    fn node(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
        let failed = |error| LayerError::io("mknod", path.as_bytes())(error);
        let file_type = match entry.kind {
            EntryKind::CharDevice => FileType::CharacterDevice,
            EntryKind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let mode = Mode::from_raw_mode(0o600);
        self.replace(path, |directory, name| {
            Ok(mknodat(directory, name, file_type, mode, device)?)
        })
        .map_err(failed)?;
        self.set_metadata_at(entry, path).map_err(failed)
    }

    /// Makes something new in place of whatever was there.
    fn replace<T>(
        &mut self,
        path: &LayerPath,
        make: impl Fn(BorrowedFd<'_>, &std::ffi::CStr) -> io::Result<T>,
    ) -> io::Result<T> {
        let (parent, name) = path.split();
        let name_c = c_name(name)?;
        match make(self.root.directory(parent)?, &name_c) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.root.remove(parent, name)?;
                make(self.root.directory(parent)?, &name_c)
            }
            other => other,
        }
    }

    /// Owner, mode, attributes and time of what was just made and cannot be
    /// opened.
    fn set_metadata_at(&mut self, entry: &Entry, path: &LayerPath) -> io::Result<()> {
        let (parent, name) = path.split();
        let name = c_name(name)?;
        let directory = self.root.directory(parent)?;
        let (owner, group) = owner(entry);
        chownat(directory, &name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
        if entry.kind != EntryKind::Symlink {
            chmodat(directory, &name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
        }
        xattr::set_at(directory, &name, &entry.xattrs)?;
        Ok(utimensat(directory, &name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
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

/// Copies the next bytes of the body to `offset`.
fn write_run(
    file: &std::fs::File,
    path: &LayerPath,
    tar: &mut TarReader<ChunkReader>,
    offset: u64,
    length: u64,
) -> Result<(), LayerError> {
    let mut written = 0;
    while written < length {
        let chunk = tar.body_chunk().map_err(|error| LayerError::Source(error.into()))?;
        if chunk.is_empty() {
            return Err(LayerError::Source(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        }
        let step = usize::try_from(length - written).unwrap_or(usize::MAX).min(chunk.len());
        file.write_all_at(&chunk[..step], offset + written)
            .map_err(LayerError::io("write", path.as_bytes()))?;
        tar.consume(step);
        written += step as u64;
    }
    Ok(())
}

fn open_directory(parent: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Owner before mode: a change of owner takes setuid and capabilities away.
fn set_metadata(fd: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
    let (owner, group) = owner(entry);
    fchown(fd, owner, group)?;
    fchmod(fd, Mode::from_raw_mode(entry.mode))?;
    xattr::set(fd, &entry.xattrs)
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

/// Times the kernel would refuse become the epoch, as in Docker.
fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let sane = (0..=i64::from(u32::MAX) * 4).contains(&seconds);
    let time = Timespec {
        tv_sec: if sane { seconds } else { 0 },
        tv_nsec: if sane { i64::from(nanos) } else { 0 },
    };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
