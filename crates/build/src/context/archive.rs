//! Unpacking a tar nobody vouches for into a tree.

use std::{
    cell::Cell,
    ffi::OsStr,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use rustix::fs::{AtFlags, FileType};
use tar::EntryType;

use super::{ContextError, ContextLimits};
use crate::tree::{
    Attributes, Owner, Tree, put_directory, put_file, put_link, put_special, remove_entry,
};

/// What headers of one entry may take: long names and extended attributes are
/// read into memory.
const HEADER_MAX_BYTES: u64 = 1024 * 1024;

/// The longest path the kernel takes.
const PATH_MAX_BYTES: usize = 4096;

/// How a tar is unpacked.
pub(crate) struct Unpack {
    /// Who all files belong to, whatever the tar says.
    pub(crate) owner: Option<Owner>,
    /// Permissions all files but links get.
    pub(crate) mode: Option<u32>,
    /// Devices are made; else they are refused.
    pub(crate) devices: bool,
    /// How much is taken.
    pub(crate) limits: ContextLimits,
}

impl Unpack {
    /// For a build context: everything belongs to root.
    pub(crate) fn context(limits: ContextLimits) -> Self {
        Self { owner: Some(Owner::default()), mode: None, devices: false, limits }
    }
}

/// Whether a stream begins like a tar: a first header with a right checksum.
pub(crate) fn looks_like_tar(stream: impl Read) -> bool {
    tar::Archive::new(stream.take(HEADER_MAX_BYTES))
        .entries()
        .ok()
        .and_then(|mut entries| entries.next())
        .is_some_and(|entry| entry.is_ok())
}

/// Unpacks a tar into the directory `below` of a tree.
pub(crate) fn unpack(
    stream: &mut dyn Read,
    tree: &Tree,
    below: &Path,
    how: &Unpack,
) -> Result<(), ContextError> {
    let budget = Rc::new(Cell::new(HEADER_MAX_BYTES));
    let mut archive =
        tar::Archive::new(Metered { inner: stream, budget: budget.clone(), end_bytes: END_BYTES });
    archive.set_ignore_zeros(false);
    let mut entries = archive.entries().map_err(ContextError::Read)?;
    let mut state = Unpacked { bytes: 0, files: 0, directories: Vec::new() };
    loop {
        budget.set(HEADER_MAX_BYTES);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(ContextError::Read)?;
        budget.set(u64::MAX);
        one(&mut entry, tree, below, how, &mut state)?;
        io::copy(&mut entry, &mut io::sink()).map_err(ContextError::Read)?;
    }
    for (path, attributes) in state.directories.iter().rev() {
        put_directory(tree, path, attributes, true).map_err(ContextError::Write)?;
    }
    Ok(())
}

/// What was unpacked so far.
struct Unpacked {
    bytes: u64,
    files: u64,
    /// Directories get their attributes last: a read-only one must be filled
    /// first, and filling it changes its time.
    directories: Vec<(PathBuf, Attributes)>,
}

fn one<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    tree: &Tree,
    below: &Path,
    how: &Unpack,
    state: &mut Unpacked,
) -> Result<(), ContextError> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader) {
        return Ok(());
    }
    let name = entry.path_bytes().into_owned();
    let path = below.join(inside(&name)?);
    state.files += 1;
    if state.files > how.limits.files {
        return Err(ContextError::TooLarge(format!("{} files", how.limits.files)));
    }
    let wrong = |reason: &str| invalid(&name, reason);
    let attributes = attributes(entry, how).map_err(ContextError::Read)?;
    if kind == EntryType::Directory {
        put_directory(tree, &path, &Attributes { mode: 0o700, ..Attributes::default() }, false)
            .map_err(|error| failed(&name, error))?;
        state.directories.push((path, attributes));
        return Ok(());
    }
    if path == below {
        return Err(wrong("it has no name"));
    }
    let (parent, last) =
        tree.parent(&path, Owner::default()).map_err(|error| failed(&name, error))?;
    let parent = parent.as_fd();
    let result = match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let left = how.limits.bytes - state.bytes;
            let size = entry.size();
            if size > left {
                return Err(ContextError::TooLarge(format!("{} bytes", how.limits.bytes)));
            }
            state.bytes += size;
            let mut source = Source { inner: entry, error: None };
            let written = put_file(parent, &last, &mut source, &attributes);
            if let Some(error) = source.error {
                return Err(ContextError::Read(error));
            }
            match written {
                Ok(bytes) if bytes < size => {
                    return Err(ContextError::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                other => other.map(|_| ()),
            }
        }
        EntryType::Symlink | EntryType::Link => {
            let target = entry.link_name_bytes().ok_or_else(|| wrong("it links to nothing"))?;
            if kind == EntryType::Symlink {
                put_link(parent, &last, OsStr::from_bytes(&target), &attributes)
            } else {
                hard_link(tree, &below.join(inside(&target)?), parent, &last)
            }
        }
        EntryType::Fifo => put_special(parent, &last, FileType::Fifo, 0, &attributes),
        EntryType::Char | EntryType::Block if how.devices => {
            let kind = if kind == EntryType::Char {
                FileType::CharacterDevice
            } else {
                FileType::BlockDevice
            };
            let device = device(entry.header()).map_err(ContextError::Read)?;
            put_special(parent, &last, kind, device, &attributes)
        }
        EntryType::Char | EntryType::Block => return Err(wrong("it is a device")),
        _ => return Err(wrong("its kind is unknown")),
    };
    result.map_err(|error| failed(&name, error))
}

fn hard_link(tree: &Tree, target: &Path, parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let (target_parent, target_name) = tree.parent(target, Owner::default())?;
    // A file linked to itself would be gone.
    rustix::fs::statat(&target_parent, &target_name, AtFlags::SYMLINK_NOFOLLOW)?;
    if same_entry(&target_parent, &target_name, parent, name) {
        return Ok(());
    }
    remove_entry(parent, name)?;
    Ok(rustix::fs::linkat(&target_parent, &target_name, parent, name, AtFlags::empty())?)
}

fn same_entry(
    parent: &impl AsFd,
    name: &OsStr,
    other_parent: BorrowedFd<'_>,
    other_name: &OsStr,
) -> bool {
    let inode = |fd: BorrowedFd<'_>, name| {
        rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW).map(|s| (s.st_dev, s.st_ino)).ok()
    };
    inode(parent.as_fd(), name) == inode(other_parent, other_name)
}

/// The path of an entry, if it stays inside.
fn inside(name: &[u8]) -> Result<PathBuf, ContextError> {
    if name.len() > PATH_MAX_BYTES {
        return Err(invalid(&name[..64], "its name is too long"));
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(invalid(name, "it is outside of the archive"));
            }
        }
    }
    Ok(path)
}

fn attributes<R: Read>(entry: &mut tar::Entry<'_, R>, how: &Unpack) -> io::Result<Attributes> {
    let header = entry.header();
    let owner = match how.owner {
        Some(owner) => owner,
        None => Owner { uid: number(header.uid()?), gid: number(header.gid()?) },
    };
    let mode = how.mode.unwrap_or(header.mode()? & 0o7777);
    let seconds = i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0);
    let mut attributes = Attributes { mode, owner, modified: Some((seconds, 0)), capability: None };
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions.filter_map(Result::ok) {
            match extension.key_bytes() {
                b"SCHILY.xattr.security.capability" => {
                    attributes.capability = Some(extension.value_bytes().to_vec());
                }
                b"mtime" => {
                    if let Some(time) = extension.value().ok().and_then(pax_time) {
                        attributes.modified = Some(time);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(attributes)
}

/// `seconds[.fraction]` of a PAX header.
fn pax_time(text: &str) -> Option<(i64, u32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((seconds.parse().ok()?, digits.parse().ok()?))
}

fn number(id: u64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX - 1)
}

fn device(header: &tar::Header) -> io::Result<u64> {
    let major = header.device_major()?.unwrap_or(0);
    let minor = header.device_minor()?.unwrap_or(0);
    Ok(rustix::fs::makedev(major, minor))
}

fn invalid(name: &[u8], reason: &str) -> ContextError {
    ContextError::Entry {
        path: String::from_utf8_lossy(name).into_owned(),
        reason: reason.to_owned(),
    }
}

/// An entry that cannot be made: the archive's fault (a file where a directory
/// is needed) or the disk's.
fn failed(name: &[u8], error: io::Error) -> ContextError {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory, NotFound};
    match error.kind() {
        AlreadyExists | InvalidFilename | IsADirectory | NotADirectory | NotFound => {
            invalid(name, &error.to_string())
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            invalid(name, &error.to_string())
        }
        _ => ContextError::Write(error),
    }
}

/// Remembers which side of a copy failed.
struct Source<'a, R: Read> {
    inner: &'a mut R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let copy = io::Error::new(error.kind(), error.to_string());
            self.error = Some(error);
            copy
        })
    }
}

/// Stops a header that never ends, and ends an archive that just stops.
///
/// The docker CLI sends such ones (`docker build -f -`): the last file is not
/// filled up to its block, and the two blocks of zeros are missing. Between two
/// files the end of the stream therefore reads as zeros.
struct Metered<'a> {
    inner: &'a mut dyn Read,
    /// What headers may still take; no limit inside of a file.
    budget: Rc<Cell<u64>>,
    /// Zeros that may still be put at the end.
    end_bytes: usize,
}

/// The rest of a block and the two blocks that end an archive.
const END_BYTES: usize = 3 * 512;

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.get();
        if left == 0 {
            return Err(io::Error::other("a header is too long"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        if left == u64::MAX {
            return Ok(read);
        }
        if read == 0 {
            let zeros = most.min(self.end_bytes);
            buffer[..zeros].fill(0);
            self.end_bytes -= zeros;
            return Ok(zeros);
        }
        self.budget.set(left - read as u64);
        Ok(read)
    }
}
