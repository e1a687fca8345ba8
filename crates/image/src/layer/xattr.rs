//! Extended attributes of layers: which are carried, and how they are set.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use rustix::{
    fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr, lsetxattr},
    io::Errno,
};

/// Overlay's mark of a directory that hides what is below it.
const OPAQUE: &str = "trusted.overlay.opaque";
/// Attributes overlay uses for itself. From an archive they would let a layer
/// reach into others (`redirect`), so they are never taken over.
const OVERLAY_PREFIXES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
/// Marks of an upper directory whose files are elsewhere.
const FOREIGN_DATA: [&[u8]; 2] = [b"trusted.overlay.redirect", b"trusted.overlay.metacopy"];
/// The kernel's limit for one attribute, and for the list of names.
const MAX_BYTES: usize = 64 << 10;

/// Attributes as they stand in tar: name and value.
pub(super) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Whether an attribute of an archive is set.
fn is_taken(name: &[u8]) -> bool {
    !OVERLAY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// File systems without attributes are put up with, as Docker does.
fn forgive(result: rustix::io::Result<()>, name: &[u8]) -> io::Result<()> {
    match result {
        Err(Errno::OPNOTSUPP) => {
            tracing::debug!(attribute = %name.escape_ascii(), "the file system takes no such attribute");
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Sets attributes of an open file or directory.
pub(super) fn set(file: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<()> {
    for (name, value) in attributes.iter().filter(|(name, _)| is_taken(name)) {
        forgive(fsetxattr(file, name.as_slice(), value, XattrFlags::empty()), name)?;
    }
    Ok(())
}

/// Sets attributes of something that cannot be opened (link, device).
pub(super) fn set_at(
    directory: BorrowedFd<'_>,
    file: &CStr,
    attributes: &Attributes,
) -> io::Result<()> {
    for (name, value) in attributes.iter().filter(|(name, _)| is_taken(name)) {
        let prefix = format!("/proc/self/fd/{}/", directory.as_raw_fd());
        let path = [prefix.as_bytes(), file.to_bytes()].concat();
        let result = lsetxattr(path.as_slice(), name.as_slice(), value, XattrFlags::empty());
        forgive(result, name)?;
    }
    Ok(())
}

/// Marks a directory as hiding everything below it.
pub(super) fn set_opaque(directory: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())?)
}

/// What an upper directory's file carries.
#[derive(Default)]
pub(super) struct Carried {
    /// Attributes that belong into the layer.
    pub(super) attributes: Attributes,
    /// The directory hides what is below.
    pub(super) opaque: bool,
    /// The file's content or place is in another layer.
    pub(super) foreign: bool,
}

/// Reads what a file carries. Like Docker, of the kernel's own attributes only
/// the capabilities of programs; beyond it, the user's.
pub(super) fn read(file: BorrowedFd<'_>) -> io::Result<Carried> {
    let mut carried = Carried::default();
    let mut names = vec![0; MAX_BYTES];
    let length = match flistxattr(file, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    for name in names[..length].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        if name == OPAQUE.as_bytes() {
            carried.opaque = value(file, name)? == b"y";
        } else if FOREIGN_DATA.contains(&name) {
            carried.foreign = true;
        } else if is_taken(name) && (name == b"security.capability" || name.starts_with(b"user.")) {
            carried.attributes.push((name.to_vec(), value(file, name)?));
        }
    }
    Ok(carried)
}

fn value(file: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
    let mut value = vec![0; MAX_BYTES];
    let length = fgetxattr(file.as_fd(), name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}
