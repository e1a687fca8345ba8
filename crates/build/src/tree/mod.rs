//! Files below one directory, reached through descriptors only.
//!
//! Both sides of a copy are untrusted: the context comes from a client, the
//! root file system from an image. Every path is resolved by the kernel with
//! `openat2(RESOLVE_IN_ROOT)`, so that `..` and symbolic links, absolute ones
//! too, end at the root; what is then created is created with `*at` calls in
//! the directory found.

mod copy;
mod walk;
mod write;

use std::{
    ffi::OsStr,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

pub(crate) use copy::{CopyOptions, copy_into, refuse_directory};
pub(crate) use walk::{Walk, checksum, walk};
pub(crate) use write::{Attributes, Owner, put_directory, put_file, put_link, put_special};

/// Tries of a path that others rename under us; the kernel then says EAGAIN.
const RESOLVE_TRIES: usize = 32;

/// A directory and everything below it.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// The tree below an open directory.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The tree below a directory of the host.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
        Ok(Self::new(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens what a path leads to, links followed unless `flags` say otherwise.
    pub(crate) fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RESOLVE_TRIES {
            match rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), how)
            {
                Err(Errno::AGAIN) => {}
                other => return Ok(other?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Opens a directory.
    pub(crate) fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::DIRECTORY | OFlags::RDONLY)
    }

    /// What a path leads to, links followed.
    pub(crate) fn stat(&self, path: &Path) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(self.resolve(path, OFlags::PATH)?)?)
    }

    /// The whole of a regular file, if it is no longer than `limit` bytes.
    pub(crate) fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        // A pipe in the place of the file must not block.
        let file = self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        if kind(&rustix::fs::fstat(&file)?) != FileType::RegularFile {
            return Err(io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!("longer than {limit} bytes")));
        }
        Ok(bytes)
    }
}

/// Removes an entry of a directory with everything below it, however deep a `RUN` made it; nothing
/// there is fine.
pub(crate) fn remove_entry(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match shoal_sys::tree::remove_at(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The type of a file.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A path without `.`, `..` and `/` at its front, as if the root were above
/// it; links are not looked at.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    out
}
