//! The objects of a layer: files, links and devices, each made within the
//! layer's root and given its owner, mode, attributes and time.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileExt,
    },
};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, chmodat, chownat, futimens, linkat, mknodat, openat,
    symlinkat, utimensat,
};

use super::{
    LayerError,
    metadata::{owner, set_metadata, times},
    path::LayerPath,
    pipe::ChunkReader,
    root::c_name,
    unpack::Unpacker,
    xattr,
};
use crate::tarball::{Entry, EntryKind, TarReader};

impl Unpacker {
    pub(super) fn file(
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

    pub(super) fn hardlink(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
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

    pub(super) fn symlink(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
        let failed = |error| LayerError::io("symlink", path.as_bytes())(error);
        let target = c_name(&entry.link).map_err(failed)?;
        self.replace(path, |directory, name| Ok(symlinkat(&target, directory, name)?))
            .map_err(failed)?;
        self.set_metadata_at(entry, path).map_err(failed)
    }

    /// Devices are made as Docker makes them: whether a container may use
    /// them is decided by its cgroup.
    pub(super) fn node(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
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
