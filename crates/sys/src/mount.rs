//! Mounts by descriptor: made detached, changed, then attached.
//!
//! Nothing here takes the path of a mount point: whoever attaches has resolved
//! it to a descriptor first (see [`crate::root`]), so no symbolic link can be
//! swapped in between.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
        fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
    },
};

/// Per-mount attributes (`MOUNT_ATTR_*`, linux/mount.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// No writes through this mount.
    pub const READ_ONLY: Self = Self(0x1);
    /// Set-user-ID bits are ignored.
    pub const NO_SUID: Self = Self(0x2);
    /// Device nodes do not open.
    pub const NO_DEV: Self = Self(0x4);
    /// Nothing can be executed.
    pub const NO_EXEC: Self = Self(0x8);
    /// Access times are never written.
    pub const NO_ATIME: Self = Self(0x10);
    /// Access times are always written.
    pub const STRICT_ATIME: Self = Self(0x20);
    /// Access times of directories are never written.
    pub const NO_DIR_ATIME: Self = Self(0x80);
    /// Symbolic links are not followed.
    pub const NO_SYMFOLLOW: Self = Self(0x20_0000);
    /// The field that holds how access times are written.
    pub const ATIME: Self = Self(0x70);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every attribute of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether none is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Whether mounts made in one place appear in its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// In neither direction.
    Private,
    /// From the original to the copy.
    Slave,
    /// Both ways.
    Shared,
    /// Neither, and it cannot be copied.
    Unbindable,
}

/// What to change about a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Attributes to set.
    pub set: Attributes,
    /// Attributes to clear.
    pub clear: Attributes,
    /// How it propagates from now on.
    pub propagation: Option<Propagation>,
    /// In all mounts below it, too.
    pub recursive: bool,
}

/// `struct mount_attr` (linux/mount.h).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes a mount, attached or not. All of it or nothing.
pub fn change(mount: impl AsFd, change: Change) -> io::Result<()> {
    let mut clear = change.clear;
    if !change.set.without(Attributes::NO_DIR_ATIME).is_empty()
        && Attributes::ATIME.0 & (change.set.0) != 0
    {
        // The kernel takes a new way for access times only with the old cleared.
        clear = clear.with(Attributes::ATIME);
    }
    let attr = MountAttr {
        set: change.set.0,
        clear: clear.0,
        propagation: match change.propagation {
            None => 0,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::Slave) => libc::MS_SLAVE,
            Some(Propagation::Shared) => libc::MS_SHARED,
            Some(Propagation::Unbindable) => libc::MS_UNBINDABLE,
        },
        userns_fd: 0,
    };
    let recursive = if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string and `attr` a live `struct mount_attr`
    // of the size given; the kernel reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            std::ptr::from_ref(&attr),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A detached copy of what is mounted at `path`, taken from `dir` on; with what
/// is mounted below it if `recursive`.
pub fn copy(dir: impl AsFd, path: impl AsRef<Path>, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.as_ref().as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(open_tree(dir, path.as_ref(), flags)?)
}

/// A detached copy of what is mounted at a path of the host.
pub fn copy_path(path: impl AsRef<Path>, recursive: bool) -> io::Result<OwnedFd> {
    copy(CWD, path, recursive)
}

/// Puts a detached mount on top of the file or directory `target`.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", target, "", flags)?)
}

/// A file system about to be mounted.
#[derive(Debug)]
pub struct FileSystem {
    context: OwnedFd,
}

impl FileSystem {
    /// Begins with a type (`tmpfs`).
    pub fn new(kind: &str) -> io::Result<Self> {
        Ok(Self { context: fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)? })
    }

    /// Sets an option; without a value it is a flag.
    pub fn option(&self, name: &str, value: Option<&str>) -> io::Result<()> {
        let result = match value {
            Some(value) => fsconfig_set_string(self.context.as_fd(), name, value),
            None => fsconfig_set_flag(self.context.as_fd(), name),
        };
        result.map_err(|error| self.explain(error))
    }

    /// Makes it: a detached mount. The error carries what the file system says.
    pub fn mount(self, attributes: Attributes) -> io::Result<OwnedFd> {
        fsconfig_create(self.context.as_fd()).map_err(|error| self.explain(error))?;
        let attributes = MountAttrFlags::from_bits_retain(attributes.0 as u32);
        Ok(fsmount(self.context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
    }

    /// The kernel leaves its complaints in the context, one per read: `e text`.
    fn explain(&self, error: rustix::io::Errno) -> io::Error {
        let mut buffer = [0; 512];
        let kind = io::Error::from(error).kind();
        match rustix::io::read(&self.context, &mut buffer) {
            Ok(count) if count > 2 => {
                let text = String::from_utf8_lossy(&buffer[2..count]);
                io::Error::new(kind, format!("{} ({error})", text.trim()))
            }
            _ => error.into(),
        }
    }
}

/// Makes the directory `new_root` the root of the calling process's mount
/// namespace and lets go of the old one. `new_root` is a mount.
pub fn pivot(new_root: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::fchdir(new_root)?;
    // Both at one place: the old root lies on top of the new, and is taken away.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// A handle on a path that does not open what is there.
pub fn handle(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}
