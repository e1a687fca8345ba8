//! Making files in a tree.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Tree, clean, remove_entry};

/// The only extended attribute that Docker carries along.
pub(super) const CAPABILITY: &str = "security.capability";

/// How many links in a row are followed to make a directory, as in the kernel.
const MAX_LINKS: usize = 40;

/// Mode of directories nobody described.
const PARENT_MODE: u32 = 0o755;

/// Who a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    /// User number.
    pub(crate) uid: u32,
    /// Group number.
    pub(crate) gid: u32,
}

/// What a new file gets besides its contents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes {
    /// Permission bits, with set-id and sticky bits.
    pub(crate) mode: u32,
    /// Who it belongs to.
    pub(crate) owner: Owner,
    /// Seconds since 1970 and nanoseconds; now if `None`.
    pub(crate) modified: Option<(i64, u32)>,
    /// Its capabilities, in the kernel's form.
    pub(crate) capability: Option<Vec<u8>>,
}

impl Attributes {
    fn times(&self) -> Option<Timestamps> {
        let (seconds, nanos) = self.modified?;
        let time = Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
        Some(Timestamps { last_access: time, last_modification: time })
    }
}

impl Tree {
    /// Opens a directory, and makes it and those above it if they are missing.
    pub(crate) fn make_directories(&self, path: &Path, owner: Owner) -> io::Result<OwnedFd> {
        self.make_directories_following(&clean(path), owner, 0)
    }

    fn make_directories_following(
        &self,
        path: &Path,
        owner: Owner,
        links: usize,
    ) -> io::Result<OwnedFd> {
        match self.directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::NOENT.into());
        };
        let parent_fd = self.make_directories_following(parent, owner, links + 1)?;
        match rustix::fs::mkdirat(&parent_fd, name, Mode::from_raw_mode(PARENT_MODE)) {
            Ok(()) => {
                let made = open_directory_at(parent_fd.as_fd(), name)?;
                set_owner(made.as_fd(), owner)?;
                rustix::fs::fchmod(&made, Mode::from_raw_mode(PARENT_MODE))?;
                Ok(made)
            }
            // A link to nothing yet: make what it points to.
            Err(Errno::EXIST) => {
                let target = rustix::fs::readlinkat(&parent_fd, name, Vec::new())?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                let target = clean(&parent.join(target));
                self.make_directories_following(&target, owner, links + 1)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The directory a path is in, made if missing, and its last name.
    pub(crate) fn parent(&self, path: &Path, owner: Owner) -> io::Result<(OwnedFd, OsString)> {
        let path = clean(path);
        let name = path.file_name().ok_or(Errno::ISDIR)?.to_owned();
        let parent = self.make_directories(path.parent().unwrap_or(Path::new("")), owner)?;
        Ok((parent, name))
    }
}

/// Opens a directory of a directory, no link.
pub(super) fn open_directory_at(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Writes a regular file in the place of whatever has its name.
///
/// Generic, because the standard library has the kernel copy from a `File`.
pub(crate) fn put_file<R: Read>(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    contents: &mut R,
    attributes: &Attributes,
) -> io::Result<u64> {
    remove_entry(parent, name)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?;
    let mut file = std::fs::File::from(file);
    let bytes = io::copy(contents, &mut file)?;
    let fd = file.as_fd();
    set_owner(fd, attributes.owner)?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(attributes.mode & 0o7777))?;
    if let Some(capability) = &attributes.capability {
        rustix::fs::fsetxattr(fd, CAPABILITY, capability, XattrFlags::empty())?;
    }
    if let Some(times) = attributes.times() {
        rustix::fs::futimens(fd, &times)?;
    }
    Ok(bytes)
}

/// Makes a directory, or takes the one (or the link to one) that is there.
/// Only a new one gets the attributes, except that `always` gives them to an
/// old one, too.
pub(crate) fn put_directory(
    tree: &Tree,
    path: &Path,
    attributes: &Attributes,
    always: bool,
) -> io::Result<OwnedFd> {
    if let Ok(there) = tree.directory(path) {
        if always {
            set_directory(there.as_fd(), attributes)?;
        }
        return Ok(there);
    }
    let (parent, name) = tree.parent(path, Owner::default())?;
    remove_entry(parent.as_fd(), &name)?;
    rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(0o700))?;
    let made = open_directory_at(parent.as_fd(), &name)?;
    set_directory(made.as_fd(), attributes)?;
    Ok(made)
}

fn set_directory(fd: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<()> {
    set_owner(fd, attributes.owner)?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(attributes.mode & 0o7777))?;
    if let Some(times) = attributes.times() {
        rustix::fs::futimens(fd, &times)?;
    }
    Ok(())
}

/// Makes a symbolic link in the place of whatever has its name.
pub(crate) fn put_link(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    target: &OsStr,
    attributes: &Attributes,
) -> io::Result<()> {
    remove_entry(parent, name)?;
    rustix::fs::symlinkat(target, parent, name)?;
    set_at(parent, name, attributes)
}

/// Makes a pipe or a device in the place of whatever has its name.
pub(crate) fn put_special(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    kind: FileType,
    device: u64,
    attributes: &Attributes,
) -> io::Result<()> {
    remove_entry(parent, name)?;
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device)?;
    let mode = Mode::from_raw_mode(attributes.mode & 0o7777);
    set_at(parent, name, attributes)?;
    // The name was made by us a moment ago and is no link.
    Ok(rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?)
}

fn set_at(parent: BorrowedFd<'_>, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = ids(attributes.owner);
    rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if let Some(times) = attributes.times() {
        rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn set_owner(fd: BorrowedFd<'_>, owner: Owner) -> io::Result<()> {
    let (uid, gid) = ids(owner);
    Ok(rustix::fs::fchown(fd, uid, gid)?)
}

fn ids(owner: Owner) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
}
