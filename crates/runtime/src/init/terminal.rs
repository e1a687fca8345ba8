//! A pseudo terminal out of the container's own instance of devpts.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{FileType, FsWord, Mode, OFlags, fstat, fstatfs, makedev, openat},
    pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use shoal_sys::{mount, root::Root};

use super::{failed, mounts::attach};
use crate::protocol::{Failure, Reason, WindowSize};

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS_MAGIC: FsWord = 0x1cd1;

/// Master and slave. The multiplexer must be devpts's own node, so that nothing
/// else is opened in its place.
pub(super) fn create(root: &Root, size: Option<WindowSize>) -> Result<(OwnedFd, OwnedFd), Failure> {
    const MULTIPLEXER: &str = "/dev/pts/ptmx";
    let handle = root.handle_without_links(MULTIPLEXER).map_err(failed(MULTIPLEXER))?;
    let on_devpts = fstatfs(&handle).is_ok_and(|system| system.f_type == DEVPTS_MAGIC);
    let stat = fstat(&handle).map_err(failed(MULTIPLEXER))?;
    if !on_devpts || stat.st_rdev != makedev(5, 2) {
        return Err(Failure::new(Reason::Invalid, "/dev/pts is not a devpts file system"));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = root.open(MULTIPLEXER, flags).map_err(failed(MULTIPLEXER))?;
    unlockpt(&master).map_err(failed("unlocking the terminal"))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).map_err(failed("opening the terminal"))?;
    if let Some(size) = size {
        resize(&master, size).map_err(failed("terminal size"))?;
    }
    Ok((master, slave))
}

/// Sets a terminal's size.
pub(crate) fn resize(terminal: &OwnedFd, size: WindowSize) -> rustix::io::Result<()> {
    let WindowSize { rows, columns } = size;
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
}

/// Puts the terminal at `/dev/console`. The place is made here, or is an ordinary file
/// or, where the host's `/dev` is mounted, its console: never a link (CVE-2025-52565).
pub(super) fn mount_console(root: &Root, slave: &OwnedFd) -> Result<(), Failure> {
    const CONSOLE: &str = "/dev/console";
    let dev = root.make_dir("/dev", 0o755).map_err(failed("/dev"))?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&dev, "console", flags, Mode::from_raw_mode(0o600)) {
        Ok(_) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(failed(CONSOLE)(error)),
    }
    let place = root.handle_without_links(CONSOLE).map_err(failed(CONSOLE))?;
    let kind = FileType::from_raw_mode(fstat(&place).map_err(failed(CONSOLE))?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::CharacterDevice) {
        let text = "/dev/console is neither an ordinary file nor a character device";
        return Err(Failure::new(Reason::Invalid, text));
    }
    let copy = mount::copy(slave, "", false).map_err(failed("the terminal"))?;
    attach(&copy, place.as_fd(), std::path::Path::new(CONSOLE))
}
