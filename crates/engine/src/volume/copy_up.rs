//! Fills an empty volume with what the image has at its place, as Docker does.
//!
//! ```text
//!  _filling/content  copied, where nobody else can come; rubbish after a crash
//!  _filled/content   whole; a crash from here on is made good when the daemon comes back
//!  _data             the entries are moved, each whole
//! ```

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, XattrFlags,
    renameat, renameat_with, statat,
};
use rustix::io::Errno;
use shoal_sys::overlay::Overlay;
use shoal_sys::root::Root;

use super::{DATA, Volumes};
use crate::container::record::Rootfs;
use crate::domain::Volume;
use crate::error::VolumeError;
use crate::files::remove_tree;
use crate::node::blocking;

/// Longest list of attribute names and longest value the kernel has.
const ATTRIBUTE_BYTES: usize = 64 * 1024;
/// What is being copied.
const FILLING: &str = "_filling";
/// What is copied.
const FILLED: &str = "_filled";
/// In both: the copy, with the attributes `_data` gets. The directory above keeps others out.
const CONTENT: &str = "content";

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
        let (dir, rootfs) = (self.files.dir(&volume.name), rootfs.clone());
        let place = destination.to_owned();
        let what = format!("cannot copy {destination} of the image into volume {}", volume.name);
        blocking(move || fill(&dir, &rootfs, &place)).await.map_err(VolumeError::io(what))
    }
}

/// Blocks.
fn fill(volume: &Path, rootfs: &Rootfs, destination: &str) -> io::Result<()> {
    settle(volume)?;
    if fs::read_dir(volume.join(DATA))?.next().is_some() {
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
    let filling = volume.join(FILLING);
    let copied = fs::DirBuilder::new()
        .mode(0o700)
        .create(&filling)
        .and_then(|()| copy(&source, &fs::metadata(&source)?, &filling.join(CONTENT)))
        .and_then(|()| fs::rename(&filling, volume.join(FILLED)));
    if copied.is_err() {
        let _ = remove_tree(&filling);
        return copied;
    }
    settle(volume)
}

/// Ends what a fill has begun, or a crash has left of one: a half copy is removed, a whole one
/// moved into place. What is there by that name already stays. Blocks.
///
/// Running containers may have the volume mounted and plant links in it meanwhile. So nothing is
/// looked up below `_data`: whole entries are moved into it, each by its last name.
pub(super) fn settle(volume: &Path) -> io::Result<()> {
    remove_tree(&volume.join(FILLING))?;
    let filled = volume.join(FILLED);
    let (from, to) = (filled.join(CONTENT), volume.join(DATA));
    let attributes = match fs::metadata(&from) {
        Ok(attributes) => attributes,
        // The usual case, or everything was moved already.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return remove_tree(&filled),
        Err(error) => return Err(error),
    };
    let names: io::Result<Vec<_>> =
        fs::read_dir(&from)?.map(|entry| Ok(entry?.file_name())).collect();
    let (source, target) = (directory(&from)?, directory(&to)?);
    for name in names? {
        move_entry(&source, &target, &name)?;
    }
    copy_attributes(&from, &attributes, &to)?;
    remove_tree(&filled)
}

fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn move_entry(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match renameat_with(from, name, to, name, RenameFlags::NOREPLACE) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        // Not every file system can be told so.
        Err(Errno::INVAL) => match statat(to, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(renameat(from, name, to, name)?),
            other => Ok(other.map(drop)?),
        },
        Err(error) => Err(error.into()),
    }
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

/// Copies what `metadata` is of, with all below it. Nobody else can reach `target`.
fn copy(source: &Path, metadata: &fs::Metadata, target: &Path) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_dir() {
        fs::create_dir(target)?;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            let path = entry.path();
            copy(&path, &fs::symlink_metadata(&path)?, &target.join(entry.file_name()))?;
        }
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
    copy_attributes(source, metadata, target)
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
        Err(Errno::NOTSUP) => return Ok(()),
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

    /// A layer, an empty upper directory and an empty volume.
    struct Bed {
        dir: tempfile::TempDir,
        rootfs: Rootfs,
        volume: PathBuf,
        data: PathBuf,
    }

    fn bed() -> Bed {
        let dir = tempfile::tempdir().unwrap();
        let (layer, upper) = (dir.path().join("layer"), dir.path().join("upper"));
        let volume = dir.path().join("volume");
        let data = volume.join(DATA);
        for path in [&upper, &data, &layer.join("srv/data/sub")] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(layer.join("srv/data/file"), "text").unwrap();
        fs::write(layer.join("srv/data/sub/script"), "from the image").unwrap();
        let rootfs = Rootfs { lower: vec![layer], upper, work: PathBuf::new() };
        Bed { dir, rootfs, volume, data }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_is_copied_with_owners_modes_and_links() {
        let Bed { rootfs, volume, data, .. } = &bed();
        let source = rootfs.lower[0].join("srv/data");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        fs::set_permissions(source.join("file"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("/etc/passwd", source.join("link")).unwrap();
        std::os::unix::fs::chown(source.join("sub"), Some(1234), Some(5678)).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o1770)).unwrap();
        // A way there by a link that is absolute inside the image.
        symlink("/srv", rootfs.lower[0].join("short")).unwrap();

        fill(volume, rootfs, "/short/data").unwrap();
        assert_eq!(names(volume), [DATA]);
        assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "text");
        assert_eq!((mode(&data.join("file")), mode(data)), (0o4711, 0o1770));
        assert_eq!(
            fs::metadata(data).unwrap().modified().unwrap(),
            fs::metadata(&source).unwrap().modified().unwrap()
        );
        assert_eq!(fs::read_link(data.join("link")).unwrap(), Path::new("/etc/passwd"));
        let sub = fs::metadata(data.join("sub")).unwrap();
        assert_eq!((sub.uid(), sub.gid()), (1234, 5678));

        // Full already: left as it is.
        fs::remove_file(data.join("file")).unwrap();
        fill(volume, rootfs, "/srv/data").unwrap();
        assert!(!data.join("file").exists());
    }

    #[test]
    fn a_place_the_image_has_not_leaves_the_volume_empty() {
        let Bed { rootfs, volume, data, .. } = &bed();
        fill(volume, rootfs, "/none").unwrap();
        assert_eq!((names(volume), names(data)), (vec![DATA.to_owned()], vec![]));
    }

    #[test]
    fn a_half_copy_of_a_crash_is_no_content() {
        let Bed { rootfs, volume, data, .. } = &bed();
        fs::create_dir_all(volume.join(FILLING).join(CONTENT)).unwrap();
        fs::write(volume.join(FILLING).join(CONTENT).join("file"), "te").unwrap();
        fill(volume, rootfs, "/srv/data").unwrap();
        assert_eq!(
            (names(volume), names(data)),
            (vec![DATA.into()], vec!["file".into(), "sub".into()])
        );
        assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "text");
    }

    #[test]
    fn a_whole_copy_of_a_crash_is_moved_into_place() {
        let Bed { rootfs, volume, data, .. } = &bed();
        fs::create_dir(volume.join(FILLED)).unwrap();
        fs::rename(rootfs.lower[0].join("srv/data"), volume.join(FILLED).join(CONTENT)).unwrap();
        // The crash was between the two.
        fs::rename(volume.join(FILLED).join(CONTENT).join("file"), data.join("file")).unwrap();
        settle(volume).unwrap();
        assert_eq!(
            (names(volume), names(data)),
            (vec![DATA.into()], vec!["file".into(), "sub".into()])
        );
        assert!(data.join("sub/script").exists());
    }

    #[test]
    fn a_link_planted_meanwhile_is_not_followed() {
        let Bed { dir, rootfs, volume, data } = &bed();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::create_dir(volume.join(FILLED)).unwrap();
        fs::rename(rootfs.lower[0].join("srv/data"), volume.join(FILLED).join(CONTENT)).unwrap();
        // After the volume was seen to be empty.
        symlink(&outside, data.join("sub")).unwrap();
        symlink(outside.join("new"), data.join("file")).unwrap();
        settle(volume).unwrap();
        assert_eq!(names(&outside), Vec::<String>::new());
        assert_eq!(names(volume), [DATA]);
        assert_eq!(fs::read_link(data.join("sub")).unwrap(), outside);
    }
}
