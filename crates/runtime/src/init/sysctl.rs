//! Kernel parameters of the container's own namespaces.

use std::{
    io::Write,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::failed;
use crate::protocol::{Failure, Reason};

/// Writes them through the procfs this process mounted itself, so that nothing in
/// the image can stand in between.
pub(super) fn write(proc: Option<OwnedFd>, sysctls: &[(PathBuf, String)]) -> Result<(), Failure> {
    let proc = proc.ok_or_else(|| Failure::new(Reason::Invalid, "sysctls need a mounted /proc"))?;
    for (name, value) in sysctls {
        let what = || format!("sysctl {}", name.display());
        let path = Path::new("sys").join(name);
        let how = ResolveFlags::BENEATH
            | ResolveFlags::NO_XDEV
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS;
        let fd = openat2(&proc, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), how)
            .map_err(failed(what()))?;
        std::fs::File::from(fd).write_all(value.as_bytes()).map_err(failed(what()))?;
    }
    Ok(())
}
