//! Paths of the kernel's file systems that a container must not read or write.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{FileType, fstat, fstatfs};
use shoal_sys::{
    mount::{self, Attributes, Change},
    root::Root,
};

use super::{
    devices, failed,
    mounts::{PROC_MAGIC, attach, empty_dir},
};
use crate::protocol::{Failure, Reason};

/// Covers files with the null device and directories with an empty one. Paths that
/// are not there need no cover.
pub(super) fn mask(root: &Root, paths: &[PathBuf]) -> Result<(), Failure> {
    let mut null: Option<OwnedFd> = None;
    for path in paths {
        let Some(target) = find(root, path)? else { continue };
        let stat = fstat(&target).map_err(failed(path.display()))?;
        let cover = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            empty_dir().map_err(failed("an empty directory"))?
        } else {
            let null = match &null {
                Some(null) => null,
                None => null.insert(devices::open_null(root)?),
            };
            mount::copy(null, "", false).map_err(failed("the null device"))?
        };
        attach(&cover, target.as_fd(), path)?;
    }
    Ok(())
}

/// Makes paths read-only, with everything mounted below them.
pub(super) fn read_only(root: &Root, paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        let Some(target) = find(root, path)? else { continue };
        let copy = mount::copy(&target, "", true).map_err(failed(path.display()))?;
        let change = Change { set: Attributes::READ_ONLY, recursive: true, ..Change::default() };
        mount::change(&copy, change).map_err(failed(path.display()))?;
        attach(&copy, target.as_fd(), path)?;
    }
    Ok(())
}

/// What is at `path`; `None` if nothing is. No link may lead there, and what lies
/// below `/proc` must lie on a procfs: else the real file would stay uncovered
/// (CVE-2025-52881).
fn find(root: &Root, path: &Path) -> Result<Option<OwnedFd>, Failure> {
    let found = match root.handle_without_links(path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        other => other.map_err(failed(path.display()))?,
    };
    if path.starts_with("/proc") {
        let system = fstatfs(&found).map_err(failed(path.display()))?;
        let proc_there = root
            .handle("/proc")
            .and_then(|proc| Ok(fstatfs(&proc)?.f_type == PROC_MAGIC))
            .map_err(failed("/proc"))?;
        if proc_there && system.f_type != PROC_MAGIC {
            let text = format!("{} is not on procfs", path.display());
            return Err(Failure::new(Reason::Invalid, text));
        }
    }
    Ok(Some(found))
}
