//! A directory that cannot be left: every lookup is resolved by the kernel as
//! if the directory were the root of the file system (`openat2`,
//! `RESOLVE_IN_ROOT`), so that absolute links and `..` stay inside.
//!
//! The last part of a path is never followed; callers get the directory it is
//! in and the name.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2},
    io::Errno,
};

/// `openat2` gives up with EAGAIN when something on the machine was renamed
/// while it resolved a `..`; this often in a row does not happen by chance.
const LOOKUP_ATTEMPTS: u32 = 64;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// The root of a layer being written.
pub(super) struct Root {
    fd: OwnedFd,
    /// The directory of the last lookup: entries of one directory follow each
    /// other. Forgotten whenever something is removed.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        Ok(Self { fd, last: None })
    }

    /// The directory `path`, made with all parents where it is missing.
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<BorrowedFd<'_>> {
        if path.is_empty() {
            return Ok(self.fd.as_fd());
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            let fd = match self.lookup(path, DIRECTORY.difference(OFlags::NOFOLLOW)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(path)?,
                other => other?,
            };
            self.last = Some((path.to_vec(), fd));
        }
        // The line above has put it there.
        Ok(self.last.as_ref().map_or(self.fd.as_fd(), |(_, fd)| fd.as_fd()))
    }

    /// The directory `path` if it is there, without making anything.
    pub(super) fn existing(&self, path: &[u8]) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return self.fd.try_clone();
        }
        self.lookup(path, DIRECTORY.difference(OFlags::NOFOLLOW))
    }

    /// Removes whatever has that name in the directory `parent`.
    pub(super) fn remove(&mut self, parent: &[u8], name: &[u8]) -> io::Result<()> {
        let directory = self.existing(parent)?;
        self.last = None;
        match shoal_sys::tree::remove_at(directory.as_fd(), c_name(name)?.as_c_str()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn lookup(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        let path = c_name(path)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..LOOKUP_ATTEMPTS {
            match openat2(&self.fd, &path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Makes the missing parts of `path`, mode 0755 as Docker does for
    /// directories an archive does not mention.
    fn make(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut end = 0;
        let mut directory = self.fd.try_clone()?;
        loop {
            let next = path[end..].iter().skip(1).position(|&b| b == b'/');
            let start = if end == 0 { 0 } else { end + 1 };
            end = next.map_or(path.len(), |offset| end + 1 + offset);
            let part = c_name(&path[start..end])?;
            match mkdirat(&directory, &part, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    directory = open_directory(directory.as_fd(), &part)?;
                    rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
                }
                Err(Errno::EXIST) => {
                    let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
                    directory = self.lookup(&path[..end], flags)?;
                }
                Err(error) => return Err(error.into()),
            }
            if end == path.len() {
                return Ok(directory);
            }
        }
    }
}

/// The directory of that name, not through a link.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, DIRECTORY, Mode::empty())?)
}

/// A path for a system call.
pub(super) fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::ErrorKind::InvalidInput.into())
}
