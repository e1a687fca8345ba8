//! Copying from one tree into another.

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, FileType, OFlags, Stat};

use super::walk::{Entry, Walk, walk};
use super::write::{self, Attributes, CAPABILITY, Owner};
use super::{Tree, kind, remove_entry};

/// The largest value of a capability attribute that is copied; the kernel's
/// own forms have at most 24 bytes.
const CAPABILITY_MAX_BYTES: usize = 64;

/// How files are copied.
pub(crate) struct CopyOptions<'a> {
    /// Who all copies belong to.
    pub(crate) owner: Owner,
    /// Permissions all copies but links get.
    pub(crate) mode: Option<u32>,
    /// Files below a copied directory that are left out.
    pub(crate) leave_out: &'a dyn Fn(&Path) -> bool,
}

/// Copies a file to `target`, or what is in a directory into the directory
/// `target`. Links in the way to `from` and to `target` are followed inside
/// their trees; links below a directory are copied as links.
pub(crate) fn copy_into(
    source: &Tree,
    from: &Path,
    destination: &Tree,
    target: &Path,
    options: &CopyOptions<'_>,
) -> io::Result<()> {
    let stat = source.stat(from)?;
    if kind(&stat) == FileType::Directory {
        return copy_directory(source, from, &stat, destination, target, options);
    }
    let (parent, name) = destination.parent(target, options.owner)?;
    refuse_directory(parent.as_fd(), &name, target)?;
    let attributes = attributes(&stat, options);
    if kind(&stat) != FileType::RegularFile {
        let (kind, device) = (kind(&stat), stat.st_rdev);
        return write::put_special(parent.as_fd(), &name, kind, device, &attributes);
    }
    let mut file = std::fs::File::from(source.resolve(from, OFlags::RDONLY | OFlags::NONBLOCK)?);
    let attributes = Attributes { capability: capability(&file), ..attributes };
    write::put_file(parent.as_fd(), &name, &mut file, &attributes)?;
    Ok(())
}

fn copy_directory(
    source: &Tree,
    from: &Path,
    stat: &Stat,
    destination: &Tree,
    target: &Path,
    options: &CopyOptions<'_>,
) -> io::Result<()> {
    if destination.stat(target).is_ok_and(|stat| kind(&stat) != FileType::Directory) {
        let message = format!("cannot copy to non-directory: {}", target.display());
        return Err(io::Error::other(message));
    }
    if destination.stat(target).is_err() {
        destination.parent(target, options.owner)?;
        write::put_directory(destination, target, &attributes(stat, options), false)?;
    }
    let mut linked: HashMap<(u64, u64), PathBuf> = HashMap::new();
    // Times of directories change while files are put in: set them at the end.
    let mut directories: Vec<(PathBuf, Attributes)> = Vec::new();
    walk(source, from, &mut |entry| {
        if (options.leave_out)(entry.path) {
            return Ok(Walk::Skip);
        }
        let path = target.join(entry.path);
        if entry.kind() == FileType::Directory {
            let attributes = attributes(&entry.stat, options);
            if destination.directory(&path).is_err() {
                write::put_directory(destination, &path, &attributes, false)?;
            }
            // As in Docker, only the target itself stays as it was.
            directories.push((path, attributes));
        } else {
            copy_entry(entry, destination, &path, options, &mut linked)?;
        }
        Ok(Walk::Enter)
    })?;
    for (path, attributes) in directories.iter().rev() {
        write::put_directory(destination, path, attributes, true)?;
    }
    Ok(())
}

fn copy_entry(
    entry: &Entry<'_>,
    destination: &Tree,
    path: &Path,
    options: &CopyOptions<'_>,
    linked: &mut HashMap<(u64, u64), PathBuf>,
) -> io::Result<()> {
    // A socket is nothing without the process behind it.
    if entry.kind() == FileType::Socket {
        return Ok(());
    }
    let (parent, name) = destination.parent(path, options.owner)?;
    refuse_directory(parent.as_fd(), &name, path)?;
    let attributes = attributes(&entry.stat, options);
    let parent = parent.as_fd();
    match entry.kind() {
        FileType::Symlink => write::put_link(parent, &name, &entry.target()?, &attributes),
        FileType::RegularFile => {
            let inode = (entry.stat.st_dev, entry.stat.st_ino);
            if let Some(first) = linked.get(&inode) {
                let (first_parent, first_name) = destination.parent(first, options.owner)?;
                remove_entry(parent, &name)?;
                let flags = AtFlags::empty();
                return Ok(rustix::fs::linkat(&first_parent, &first_name, parent, &name, flags)?);
            }
            if entry.stat.st_nlink > 1 {
                linked.insert(inode, path.to_owned());
            }
            let mut file = entry.open()?;
            let attributes = Attributes { capability: capability(&file), ..attributes };
            write::put_file(parent, &name, &mut file, &attributes).map(|_| ())
        }
        kind => write::put_special(parent, &name, kind, entry.stat.st_rdev, &attributes),
    }
}

/// A file never takes the place of a directory and all that is in it; a link to
/// a directory is no directory.
pub(crate) fn refuse_directory(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
) -> io::Result<()> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) if kind(&there) == FileType::Directory => {
            // BuildKit's words.
            let path = path.display();
            Err(io::Error::other(format!("cannot replace to directory {path} with file")))
        }
        _ => Ok(()),
    }
}

fn attributes(stat: &Stat, options: &CopyOptions<'_>) -> Attributes {
    Attributes {
        mode: options.mode.unwrap_or(stat.st_mode & 0o7777),
        owner: options.owner,
        modified: Some((stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))),
        capability: None,
    }
}

/// The capabilities of a program, if it has some.
fn capability(file: &std::fs::File) -> Option<Vec<u8>> {
    let mut value = [0u8; CAPABILITY_MAX_BYTES];
    let length = rustix::fs::fgetxattr(file, CAPABILITY, &mut value[..]).ok()?;
    Some(value.get(..length)?.to_vec())
}
