//! Removing whole trees, however deep somebody made them.
//!
//! Whoever writes a tree chooses how deep it is, and the path of a deep one is longer than any
//! path may be. So descending stops at [`DEPTH`]: a directory below that is moved up into the top
//! and has its turn there. Stack and open files are bounded, and every directory is moved at most
//! once.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat},
    io::Errno,
};

/// Levels that are descended into: more than most trees have, fewer than a thread's stack and a
/// process's open files allow by far.
const DEPTH: usize = 64;

/// Removes a directory and all below it, or whatever else has this name. Links are removed and
/// not followed, and nothing below a mount is touched. What cannot be removed does not keep the
/// rest from going.
///
/// # Errors
/// `NotFound` if nothing is there; otherwise the first thing that stays says why.
pub fn remove(path: &Path) -> io::Result<()> {
    remove_at(CWD, path)
}

/// [`remove`], by a name in an open directory.
///
/// # Errors
/// The same.
pub fn remove_at(parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<()> {
    let top = match open_directory(parent, name) {
        Err(Errno::NOTDIR) => return Ok(unlinkat(parent, name, AtFlags::empty())?),
        other => other?,
    };
    loop {
        let mut removal = Removal { top: top.as_fd(), names: 0, moved: false, failed: None };
        removal.empty(top.as_fd(), 0);
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) if removal.moved => {}
            Err(error) => return Err(removal.failed.unwrap_or(error).into()),
            Ok(()) => return Ok(()),
        }
    }
}

/// One pass over a tree.
struct Removal<'a> {
    /// Where directories are moved that are too deep.
    top: BorrowedFd<'a>,
    /// The next name to try there.
    names: u64,
    /// Whether the top may have got directories that this pass did not see.
    moved: bool,
    /// Why something stays: the first reason.
    failed: Option<Errno>,
}

impl Removal<'_> {
    /// Removes what is in a directory.
    fn empty(&mut self, dir: BorrowedFd<'_>, depth: usize) {
        let entries = match Dir::read_from(dir) {
            Ok(entries) => entries,
            Err(error) => return self.note(Err(error)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.note(Err(error)),
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let removed = match is_directory(dir, name, entry.file_type()) {
                Ok(true) => self.remove_directory(dir, name, depth),
                Ok(false) => unlinkat(dir, name, AtFlags::empty()),
                Err(error) => Err(error),
            };
            self.note(removed);
        }
    }

    fn remove_directory(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
    ) -> Result<(), Errno> {
        // First without a look inside: a mount point says so (EBUSY) and is left alone.
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return other,
        }
        if depth == DEPTH {
            return self.move_up(parent, name);
        }
        self.empty(open_directory(parent, name)?.as_fd(), depth + 1);
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // Something in it stays, and has been noted.
            Err(Errno::NOTEMPTY | Errno::EXIST) if self.failed.is_some() => Ok(()),
            other => other,
        }
    }

    /// Moves a directory into the top, for the next pass.
    fn move_up(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        loop {
            let fresh = format!("shoal-{}", self.names);
            self.names += 1;
            match renameat(parent, name, self.top, fresh) {
                // The tree's maker had the same idea. An empty directory is replaced.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                Ok(()) => {
                    self.moved = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn note(&mut self, removed: Result<(), Errno>) {
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => self.failed = self.failed.or(Some(error)),
        }
    }
}

fn open_directory(parent: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Not every file system says in the listing what an entry is.
fn is_directory(parent: BorrowedFd<'_>, name: &CStr, listed: FileType) -> Result<bool, Errno> {
    if listed != FileType::Unknown {
        return Ok(listed == FileType::Directory);
    }
    let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use rustix::fs::mkdirat;

    use super::*;

    /// Directories in each other, each with a directory and a file beside the next.
    fn nest(top: &Path, levels: usize) {
        let mut dir = open_directory(CWD, top).unwrap();
        for _ in 0..levels {
            mkdirat(&dir, "beside", Mode::RWXU).unwrap();
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&dir, "file", flags, Mode::RWXU).unwrap();
            mkdirat(&dir, "below", Mode::RWXU).unwrap();
            dir = open_directory(&dir, "below").unwrap();
        }
    }

    /// In memory where that can be: disks take minutes for so many directories.
    fn memory() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    #[test]
    fn a_tree_deeper_than_any_stack_goes() {
        let place = memory();
        let top = place.path().join("top");
        fs::create_dir(&top).unwrap();
        nest(&top, 20_000);
        // The stack of tokio's blocking threads.
        let removing = std::thread::Builder::new().stack_size(2 << 20);
        let removed = removing.spawn({
            let top = top.clone();
            move || remove(&top)
        });
        removed.unwrap().join().unwrap().unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn names_the_trees_maker_took_are_in_nobodys_way() {
        let place = memory();
        let top = place.path().join("top");
        fs::create_dir(&top).unwrap();
        // Names given in the pass: what is met first is removed, what is met later is in the way.
        for number in 0..4 {
            fs::write(top.join(format!("shoal-{number}")), "").unwrap();
        }
        for chain in 0..8 {
            let chain = top.join(format!("chain-{chain}"));
            fs::create_dir(&chain).unwrap();
            nest(&chain, 3 * DEPTH);
        }
        remove(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (top, other) = (place.path().join("top"), place.path().join("other"));
        fs::create_dir_all(top.join("deep")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "").unwrap();
        symlink(&other, top.join("deep/link")).unwrap();
        symlink(&other, place.path().join("link")).unwrap();
        remove(&top).unwrap();
        remove(&place.path().join("link")).unwrap();
        assert!(other.join("kept").exists());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_directory_goes_too_and_what_is_not_there_is_said() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        remove(&file).unwrap();
        assert_eq!(remove(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
