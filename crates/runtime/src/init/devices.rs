//! Device nodes and the usual links in `/dev`.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, makedev, mknodat, statat,
        symlinkat,
    },
    io::Errno,
};
use shoal_sys::root::Root;

use super::failed;
use crate::{
    plan::{DeviceNode, DeviceNodeKind},
    protocol::{Failure, Reason},
};

/// Where, and what it points to (runtime-linux, "Dev symbolic links").
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Makes the nodes. One that is there already must be the very device.
pub(super) fn create(root: &Root, nodes: &[DeviceNode]) -> Result<(), Failure> {
    // So that nodes are born with their permissions. Given later, by name, they could
    // go to what another container has put in the node's place.
    let mask = rustix::process::umask(Mode::empty());
    let made = create_all(root, nodes);
    rustix::process::umask(mask);
    made
}

fn create_all(root: &Root, nodes: &[DeviceNode]) -> Result<(), Failure> {
    let mut last: Option<(PathBuf, OwnedFd)> = None;
    for node in nodes {
        let parent = node.path.parent().unwrap_or(Path::new("/"));
        let dir = match last {
            Some((ref path, ref dir)) if path == parent => dir,
            _ => {
                let dir = root
                    .make_dir(parent, 0o755)
                    .map_err(failed(format!("device {}", node.path.display())))?;
                &last.insert((parent.to_owned(), dir)).1
            }
        };
        create_one(dir, node)?;
    }
    Ok(())
}

fn create_one(dir: &OwnedFd, node: &DeviceNode) -> Result<(), Failure> {
    let what = || format!("device {}", node.path.display());
    let name = node.path.file_name().ok_or_else(|| Failure::new(Reason::Invalid, what()))?;
    let (kind, number) = match node.kind {
        DeviceNodeKind::Char(major, minor) => (FileType::CharacterDevice, makedev(major, minor)),
        DeviceNodeKind::Block(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
        DeviceNodeKind::Fifo => (FileType::Fifo, 0),
    };
    match mknodat(dir, name, kind, Mode::from_raw_mode(node.mode), number) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed(what()))?;
            if FileType::from_raw_mode(found.st_mode) != kind || found.st_rdev != number {
                let text = format!("{}: something else is there", what());
                return Err(Failure::new(Reason::Invalid, text));
            }
            return Ok(());
        }
        Err(error) => return Err(failed(what())(error)),
    }
    if (node.uid, node.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
        chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed(what()))?;
    }
    Ok(())
}

/// Makes the links where nothing is in their place.
pub(super) fn link(root: &Root) -> Result<(), Failure> {
    let dev = root.make_dir("/dev", 0o755).map_err(failed("/dev"))?;
    for (name, target) in LINKS {
        match symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST | Errno::ROFS) => {}
            Err(error) => return Err(failed(format!("/dev/{name}"))(error)),
        }
    }
    Ok(())
}

/// Opens the null device of a container, if it is one (CVE-2025-31133: what is
/// bound over secrets must be what it claims).
pub(super) fn open_null(root: &Root) -> Result<OwnedFd, Failure> {
    let null = root.open("/dev/null", OFlags::PATH).map_err(failed("/dev/null"))?;
    let found = fstat(&null).map_err(failed("/dev/null"))?;
    let is_null = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
        && found.st_rdev == makedev(1, 3);
    if !is_null {
        return Err(Failure::new(Reason::Invalid, "/dev/null is not the null device"));
    }
    Ok(null)
}
