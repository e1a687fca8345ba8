//! Fills an empty volume with what the image has at its place, as Docker does.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use shoal_sys::overlay::Overlay;
use shoal_sys::root::Root;

use super::Volumes;
use crate::container::record::Rootfs;
use crate::domain::Volume;
use crate::error::VolumeError;
use crate::node::blocking;

/// Longest list of attribute names and longest value the kernel has.
const ATTRIBUTE_BYTES: usize = 64 * 1024;

impl Volumes {
    /// Copies what the root file system has at `destination` into a volume that is empty.
    pub(crate) async fn fill(
        &self,
        volume: &Volume,
        rootfs: &Rootfs,
        destination: &str,
    ) -> Result<(), VolumeError> {
        let busy = self.lock().get(&volume.name).map(|known| known.busy.clone());
        let busy = busy.ok_or_else(|| VolumeError::NotFound(volume.name.clone()))?;
        let _busy = busy.lock().await;
        let (target, rootfs) = (volume.mountpoint.clone(), rootfs.clone());
        let place = destination.to_owned();
        let what = format!("cannot copy {destination} of the image into volume {}", volume.name);
        blocking(move || fill(&target, &rootfs, &place)).await.map_err(VolumeError::io(what))
    }
}

fn fill(target: &Path, rootfs: &Rootfs, destination: &str) -> io::Result<()> {
    if fs::read_dir(target)?.next().is_some() {
        return Ok(());
    }
    let root = view(rootfs)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source = match root.open(destination.trim_start_matches('/'), flags) {
        Ok(source) => source,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    // The view is read-only and nobody else's: below this name nothing moves.
    let source = PathBuf::from(format!("/proc/self/fd/{}", source.as_raw_fd()));
    let attributes = fs::metadata(&source)?;
    copy_children(&source, target)?;
    copy_attributes(&source, &attributes, target)
}

/// The root file system as a container would find it, read-only.
fn view(rootfs: &Rootfs) -> io::Result<Root> {
    let mut lower = rootfs.lower.clone();
    if fs::read_dir(&rootfs.upper)?.next().is_some() {
        lower.insert(0, rootfs.upper.clone());
    }
    match lower.as_slice() {
        // The kernel makes no overlay of one layer, and none is needed.
        [only] => Root::at(only),
        _ => Ok(Root::new(Overlay { lower, writable: None }.mount()?)),
    }
}

fn copy_children(source: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        copy(&entry.path(), &target.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(source)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        fs::create_dir(target)?;
        copy_children(source, target)?;
    } else if kind.is_file() {
        fs::copy(source, target)?;
    } else if kind.is_symlink() {
        symlink(fs::read_link(source)?, target)?;
    } else {
        let node = match () {
            () if kind.is_char_device() => FileType::CharacterDevice,
            () if kind.is_block_device() => FileType::BlockDevice,
            () if kind.is_fifo() => FileType::Fifo,
            () => FileType::Socket,
        };
        let mode = Mode::from_raw_mode(metadata.mode());
        rustix::fs::mknodat(CWD, target, node, mode, metadata.rdev())?;
    }
    copy_attributes(source, &metadata, target)
}

/// Owner, extended attributes, mode and time, in the order in which none undoes another.
fn copy_attributes(source: &Path, metadata: &fs::Metadata, target: &Path) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    rustix::fs::chownat(CWD, target, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    let link = metadata.file_type().is_symlink();
    if !link {
        copy_extended(source, target)?;
        rustix::fs::chmod(target, Mode::from_raw_mode(metadata.mode() & 0o7777))?;
    }
    let time = |seconds: i64, nanos: i64| Timespec { tv_sec: seconds, tv_nsec: nanos as _ };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    rustix::fs::utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn copy_extended(source: &Path, target: &Path) -> io::Result<()> {
    let mut names = vec![0; ATTRIBUTE_BYTES];
    let length = match rustix::fs::llistxattr(source, &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut value = vec![0; if length > 0 { ATTRIBUTE_BYTES } else { 0 }];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // The overlay's own marks mean nothing outside of it.
        if name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let size = rustix::fs::lgetxattr(source, name, &mut value)?;
        rustix::fs::lsetxattr(target, name, &value[..size], XattrFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_copied_with_owners_modes_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (layer, upper, volume) =
            (dir.path().join("layer"), dir.path().join("upper"), dir.path().join("volume"));
        for path in [&upper, &volume, &layer.join("srv/data/sub")] {
            fs::create_dir_all(path).unwrap();
        }
        let data = layer.join("srv/data");
        fs::write(data.join("file"), "text").unwrap();
        fs::set_permissions(data.join("file"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("/etc/passwd", data.join("link")).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o1770)).unwrap();
        std::os::unix::fs::chown(data.join("sub"), Some(1234), Some(5678)).unwrap();
        // A way there by a link that is absolute inside the image.
        symlink("/srv", layer.join("short")).unwrap();

        let rootfs = Rootfs { lower: vec![layer], upper, work: PathBuf::new() };
        fill(&volume, &rootfs, "/short/data").unwrap();
        assert_eq!(fs::read_to_string(volume.join("file")).unwrap(), "text");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&volume.join("file")), mode(&volume)), (0o4711, 0o1770));
        assert_eq!(fs::read_link(volume.join("link")).unwrap(), Path::new("/etc/passwd"));
        let sub = fs::metadata(volume.join("sub")).unwrap();
        assert_eq!((sub.uid(), sub.gid()), (1234, 5678));

        // Full already: left as it is.
        fs::remove_file(volume.join("file")).unwrap();
        fill(&volume, &rootfs, "/srv/data").unwrap();
        assert!(!volume.join("file").exists());
    }

    #[test]
    fn a_place_the_image_has_not_leaves_the_volume_empty() {
        let dir = tempfile::tempdir().unwrap();
        let rootfs = Rootfs {
            lower: vec![dir.path().to_owned()],
            upper: dir.path().to_owned(),
            work: PathBuf::new(),
        };
        let volume = tempfile::tempdir().unwrap();
        fill(volume.path(), &rootfs, "/none").unwrap();
        assert!(fs::read_dir(volume.path()).unwrap().next().is_none());
    }
}
