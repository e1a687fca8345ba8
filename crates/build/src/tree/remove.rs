//! Removing what is in the way, links not followed.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::{kind, write::open_directory_at};

/// Removes an entry of a directory with everything below it; nothing there is
/// fine.
pub(crate) fn entry(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if kind(&stat) != FileType::Directory {
        return Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?);
    }
    let directory = open_directory_at(parent, name)?;
    for child in names(directory.as_fd())? {
        entry(directory.as_fd(), &child)?;
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<std::ffi::OsString>> {
    use std::os::unix::ffi::OsStrExt as _;
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
