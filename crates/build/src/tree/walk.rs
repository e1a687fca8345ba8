//! Going through a tree in a fixed order, and the checksum of what is there.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use sha2::{Digest as _, Sha256};

use super::{Tree, kind, write::open_directory_at};

/// Deepest nesting walked: each level holds a descriptor open.
const MAX_DEPTH: usize = 256;

/// One file of a tree.
pub(crate) struct Entry<'a> {
    /// Path below the start of the walk; empty for the start itself.
    pub(crate) path: &'a Path,
    /// What it is, links not followed.
    pub(crate) stat: Stat,
    /// The directory it is in.
    pub(crate) parent: BorrowedFd<'a>,
    /// Its name there.
    pub(crate) name: &'a OsStr,
}

impl Entry<'_> {
    /// The type of the file.
    pub(crate) fn kind(&self) -> FileType {
        kind(&self.stat)
    }

    /// Opens a regular file for reading.
    pub(crate) fn open(&self) -> io::Result<std::fs::File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(std::fs::File::from(rustix::fs::openat(self.parent, self.name, flags, Mode::empty())?))
    }

    /// Where a symbolic link points to.
    pub(crate) fn target(&self) -> io::Result<OsString> {
        let target = rustix::fs::readlinkat(self.parent, self.name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }
}

/// What to do behind a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Go into it.
    Enter,
    /// Leave it out.
    Skip,
}

/// Calls `visit` for every file below `start`, which is a directory, each
/// directory before what is in it, names in order.
pub(crate) fn walk(
    tree: &Tree,
    start: &Path,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<Walk>,
) -> io::Result<()> {
    let directory = tree.directory(start)?;
    inside(&directory, Path::new(""), 0, visit)
}

fn inside(
    directory: &OwnedFd,
    path: &Path,
    depth: usize,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<Walk>,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!("directories nest deeper than {MAX_DEPTH}")));
    }
    for name in names(directory.as_fd())? {
        let path: PathBuf = path.join(&name);
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        let entry = Entry { path: &path, stat, parent: directory.as_fd(), name: &name };
        let is_directory = entry.kind() == FileType::Directory;
        if visit(&entry)? == Walk::Enter && is_directory {
            let child = open_directory_at(directory.as_fd(), &name)?;
            inside(&child, &path, depth + 1, visit)?;
        }
    }
    Ok(())
}

/// The names in a directory, sorted.
fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The checksum of what a path leads to: names, kinds, permissions, link
/// targets and contents, neither times nor owners. Files for which `leave_out`
/// says so do not count.
pub(crate) fn checksum(
    tree: &Tree,
    path: &Path,
    leave_out: &dyn Fn(&Path) -> bool,
) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let stat = tree.stat(path)?;
    if kind(&stat) == FileType::Directory {
        hash.update([b'd']);
        walk(tree, path, &mut |entry| {
            if leave_out(entry.path) {
                return Ok(Walk::Skip);
            }
            add_text(&mut hash, entry.path.as_os_str().as_bytes());
            add_entry(&mut hash, entry)?;
            Ok(Walk::Enter)
        })?;
    } else {
        hash.update([b'f']);
        hash.update((stat.st_mode & 0o7777).to_be_bytes());
        if kind(&stat) == FileType::RegularFile {
            let file = tree.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
            hash.update(contents(std::fs::File::from(file))?);
        } else {
            hash.update(stat.st_rdev.to_be_bytes());
        }
    }
    Ok(hash.finalize().into())
}

fn add_entry(hash: &mut Sha256, entry: &Entry<'_>) -> io::Result<()> {
    hash.update((entry.stat.st_mode & 0o7777).to_be_bytes());
    match entry.kind() {
        FileType::RegularFile => {
            hash.update([b'f']);
            hash.update(contents(entry.open()?)?);
        }
        FileType::Symlink => {
            hash.update([b'l']);
            add_text(hash, entry.target()?.as_bytes());
        }
        FileType::Directory => hash.update([b'd']),
        _ => {
            hash.update([b's']);
            hash.update((entry.stat.st_mode & !0o7777).to_be_bytes());
            hash.update(entry.stat.st_rdev.to_be_bytes());
        }
    }
    Ok(())
}

fn add_text(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

/// The SHA-256 of a file.
fn contents(mut file: std::fs::File) -> io::Result<[u8; 32]> {
    const BUFFER_BYTES: usize = 128 * 1024;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
