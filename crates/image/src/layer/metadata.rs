//! Owner, mode and times of an entry, as the kernel takes them.

use std::{io, os::fd::BorrowedFd};

use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid, fchmod, fchown};

use super::xattr;
use crate::tarball::Entry;

/// Owner before mode: a change of owner takes setuid and capabilities away.
pub(super) fn set_metadata(fd: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
    let (owner, group) = owner(entry);
    fchown(fd, owner, group)?;
    fchmod(fd, Mode::from_raw_mode(entry.mode))?;
    xattr::set(fd, &entry.xattrs)
}

pub(super) fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

/// Times the kernel would refuse become the epoch, as in Docker.
pub(super) fn times((seconds, nanos): (i64, u32)) -> Timestamps {
    let sane = (0..=i64::from(u32::MAX) * 4).contains(&seconds);
    let time = Timespec {
        tv_sec: if sane { seconds } else { 0 },
        tv_nsec: if sane { i64::from(nanos) } else { 0 },
    };
    Timestamps { last_access: time, last_modification: time }
}
