//! From an overlay directory back to a tar stream.
//!
//! The same directory always gives the same bytes: names in byte order, times
//! in whole seconds, owners as numbers. Character devices 0:0 become
//! whiteouts, opaque directories their mark. The directory may be the upper
//! one of a running container, so every step is taken relative to an open
//! directory and no link is followed.

use std::{
    collections::HashMap,
    ffi::CString,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};

use super::{
    LayerError,
    path::{opaque_name, whiteout_name},
    pipe::CHUNK,
    xattr,
};
use crate::tarball::{Entry, EntryKind, TarWriter};

/// Directories within each other; each holds one file descriptor meanwhile.
const MAX_DEPTH: u64 = 512;
/// A root directory of this mode, owned by root, is not mentioned.
const USUAL_ROOT_MODE: u32 = 0o755;

/// Writes the directory as a layer's tar stream; the bytes of its files.
///
/// # Errors
/// When a file cannot be read, or `out` fails (as [`LayerError::Source`]).
pub(crate) fn write_tar(directory: &Path, out: impl Write) -> Result<u64, LayerError> {
    let root = rustix::fs::open(directory, DIRECTORY, Mode::empty()).map_err(|error| {
        LayerError::io("open", directory.as_os_str().as_encoded_bytes())(error.into())
    })?;
    let mut walk =
        Walk { tar: TarWriter::new(out), links: HashMap::new(), size: 0, buffer: vec![0; CHUNK] };
    walk.root(root.as_fd())?;
    walk.directory(root.as_fd(), &mut Vec::new(), 0)?;
    walk.tar.finish().and_then(|mut out| out.flush()).map_err(written)?;
    Ok(walk.size)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn written(error: io::Error) -> LayerError {
    LayerError::Source(error.into())
}

struct Walk<W> {
    tar: TarWriter<W>,
    /// Files with several names: where the first one is.
    links: HashMap<(u64, u64), Vec<u8>>,
    size: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Walk<W> {
    fn root(&mut self, fd: BorrowedFd<'_>) -> Result<(), LayerError> {
        let status = fstat(fd).map_err(|error| LayerError::io("stat", b"")(error.into()))?;
        let usual = (USUAL_ROOT_MODE, 0, 0);
        if (status.st_mode & 0o7777, status.st_uid, status.st_gid) == usual {
            return Ok(());
        }
        let mut entry = describe(b"./".to_vec(), EntryKind::Directory, &status);
        entry.mtime = (0, 0);
        self.tar.entry(&entry).map_err(written)
    }

    fn directory(
        &mut self,
        fd: BorrowedFd<'_>,
        path: &mut Vec<u8>,
        depth: u64,
    ) -> Result<(), LayerError> {
        if depth == MAX_DEPTH {
            return Err(LayerError::TooMuch {
                what: "directories within each other",
                limit: MAX_DEPTH,
            });
        }
        let names = sorted_names(fd).map_err(LayerError::io("list", path))?;
        let length = path.len();
        for name in names {
            path.extend_from_slice(name.to_bytes());
            self.object(fd, &name, path, depth)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn object(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CString,
        path: &mut Vec<u8>,
        depth: u64,
    ) -> Result<(), LayerError> {
        let status = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| LayerError::io("stat", path)(error.into()))?;
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => self.subdirectory(parent, name, path, depth),
            FileType::RegularFile => self.file(parent, name, path),
            FileType::Symlink => {
                let target = readlinkat(parent, name, Vec::new())
                    .map_err(|error| LayerError::io("read link", path)(error.into()))?;
                let mut entry = describe(path.clone(), EntryKind::Symlink, &status);
                entry.link = target.into_bytes();
                self.tar.entry(&entry).map_err(written)
            }
            FileType::CharacterDevice if status.st_rdev == 0 => {
                let parent = path.len() - name.to_bytes().len();
                let hidden = [&path[..parent], &whiteout_name(name.to_bytes())].concat();
                self.mark(hidden, &status)
            }
            FileType::CharacterDevice => self.device(path, EntryKind::CharDevice, &status),
            FileType::BlockDevice => self.device(path, EntryKind::BlockDevice, &status),
            FileType::Fifo => self.device(path, EntryKind::Fifo, &status),
            // A socket is of no use without the program that made it.
            _ => {
                tracing::debug!(path = %path.escape_ascii(), "not part of the layer");
                Ok(())
            }
        }
    }

    fn subdirectory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CString,
        path: &mut Vec<u8>,
        depth: u64,
    ) -> Result<(), LayerError> {
        let failed = |error: rustix::io::Errno| LayerError::io("open", path)(error.into());
        let fd: OwnedFd = openat(parent, name, DIRECTORY, Mode::empty()).map_err(failed)?;
        let status = fstat(&fd).map_err(failed)?;
        let carried =
            xattr::read(fd.as_fd()).map_err(LayerError::io("read attributes of", path))?;
        if carried.foreign {
            return Err(foreign(path));
        }
        path.push(b'/');
        let mut entry = describe(path.clone(), EntryKind::Directory, &status);
        entry.xattrs = carried.attributes;
        self.tar.entry(&entry).map_err(written)?;
        if carried.opaque {
            self.mark([path, opaque_name()].concat(), &status)?;
        }
        self.directory(fd.as_fd(), path, depth + 1)
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CString,
        path: &[u8],
    ) -> Result<(), LayerError> {
        // A container may put a pipe in its place meanwhile: do not wait on it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = openat(parent, name, flags, Mode::empty())
            .map(File::from)
            .map_err(|error| LayerError::io("open", path)(error.into()))?;
        let status = fstat(&file).map_err(|error| LayerError::io("stat", path)(error.into()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(LayerError::io("read", path)(io::Error::other("changed meanwhile")));
        }
        let key = (status.st_dev, status.st_ino);
        if status.st_nlink > 1 {
            if let Some(first) = self.links.get(&key) {
                let mut entry = describe(path.to_vec(), EntryKind::Hardlink, &status);
                entry.link.clone_from(first);
                return self.tar.entry(&entry).map_err(written);
            }
            self.links.insert(key, path.to_vec());
        }
        let carried =
            xattr::read(file.as_fd()).map_err(LayerError::io("read attributes of", path))?;
        if carried.foreign {
            return Err(foreign(path));
        }
        let mut entry = describe(path.to_vec(), EntryKind::Regular, &status);
        entry.size = status.st_size.cast_unsigned();
        entry.xattrs = carried.attributes;
        self.size += entry.size;
        self.tar.entry(&entry).map_err(written)?;
        self.content(&mut file, path)
    }

    fn content(&mut self, file: &mut File, path: &[u8]) -> Result<(), LayerError> {
        while self.tar.missing() > 0 {
            let length = usize::try_from(self.tar.missing()).unwrap_or(usize::MAX).min(CHUNK);
            let read =
                file.read(&mut self.buffer[..length]).map_err(LayerError::io("read", path))?;
            if read == 0 {
                return Err(LayerError::io("read", path)(io::Error::other(
                    "the file became shorter meanwhile",
                )));
            }
            self.tar.data(&self.buffer[..read]).map_err(written)?;
        }
        Ok(())
    }

    fn device(&mut self, path: &[u8], kind: EntryKind, status: &Stat) -> Result<(), LayerError> {
        let mut entry = describe(path.to_vec(), kind, status);
        if kind != EntryKind::Fifo {
            let number = status.st_rdev;
            entry.device = (rustix::fs::major(number), rustix::fs::minor(number));
        }
        self.tar.entry(&entry).map_err(written)
    }

    /// A whiteout or opaque mark: an empty file with a telling name.
    fn mark(&mut self, path: Vec<u8>, status: &Stat) -> Result<(), LayerError> {
        let mut entry = describe(path, EntryKind::Regular, status);
        (entry.mode, entry.uid, entry.gid) = (0o600, 0, 0);
        // An unpacked mark has the time of its unpacking, which is nobody's.
        entry.mtime = (0, 0);
        self.tar.entry(&entry).map_err(written)
    }
}

fn describe(path: Vec<u8>, kind: EntryKind, status: &Stat) -> Entry {
    Entry {
        path,
        kind,
        mode: status.st_mode & 0o7777,
        uid: status.st_uid,
        gid: status.st_gid,
        size: 0,
        mtime: (status.st_mtime, 0),
        link: Vec::new(),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

fn foreign(path: &[u8]) -> LayerError {
    LayerError::NotSupported(format!(
        "a layer of /{}, whose content overlay keeps elsewhere (redirect_dir or metacopy)",
        String::from_utf8_lossy(path)
    ))
}

fn sorted_names(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    Ok(names)
}
