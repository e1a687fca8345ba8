//! Paths inside a directory that is taken as `/`, whatever links they go through.
//!
//! Resolution is the kernel's (`openat2(2)` with `RESOLVE_IN_ROOT`): `..` and
//! absolute links stay inside, magic links of `/proc` are refused.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, readlinkat},
    io::Errno,
};

/// A directory taken as `/`.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

/// How often a resolution is repeated that the kernel gave up because something
/// was renamed meanwhile (EAGAIN).
const TRIES: usize = 32;
/// Links to nowhere followed in a row; the kernel's limit for links.
const MOST_LINKS: usize = 40;

impl Root {
    /// From a descriptor of the directory.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// From the path of the directory.
    pub fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::open(path.as_ref(), flags, Mode::empty())? })
    }

    /// The directory itself.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens what is at `path`, following links inside.
    pub fn open(&self, path: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
        self.resolve(path.as_ref(), flags, Mode::empty(), ResolveFlags::empty())
    }

    /// A handle on what is at `path`, following links inside.
    pub fn handle(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        self.open(path, OFlags::PATH)
    }

    /// A handle on what is at `path`, if no part of it is a link.
    ///
    /// # Errors
    /// `FilesystemLoop` (ELOOP) if one is.
    pub fn handle_without_links(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        self.resolve(path.as_ref(), OFlags::PATH, Mode::empty(), ResolveFlags::NO_SYMLINKS)
    }

    /// A handle on the directory `path`, made with every directory above it
    /// where missing. A link to nowhere has its target made, inside.
    pub fn make_dir(&self, path: impl AsRef<Path>, mode: u32) -> io::Result<OwnedFd> {
        self.make_dir_through(path.as_ref(), mode, MOST_LINKS)
    }

    fn make_dir_through(&self, path: &Path, mode: u32, links: usize) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut so_far = PathBuf::from("/");
        let mut dir = self.open("/", flags)?;
        for part in path.components() {
            let Component::Normal(name) = part else {
                so_far.push(part);
                dir = self.open(&so_far, flags)?;
                continue;
            };
            let parent = so_far.clone();
            so_far.push(name);
            dir = match self.open(&so_far, flags) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match target(&dir, name, &parent)? {
                        Some(_) if links == 0 => return Err(Errno::LOOP.into()),
                        Some(target) => self.make_dir_through(&target, mode, links - 1)?,
                        None => make_one(&dir, name, mode)?,
                    }
                }
                other => other?,
            };
        }
        Ok(dir)
    }

    /// A handle on the file `path`, made empty with every directory above it
    /// where missing. What is there already may be of any kind but a directory; a
    /// link to nowhere has its target made, inside.
    pub fn make_file(&self, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
        self.make_file_through(path.as_ref(), MOST_LINKS)
    }

    fn make_file_through(&self, path: &Path, links: usize) -> io::Result<OwnedFd> {
        match self.handle(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                let found = other?;
                if FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::Directory {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                return Ok(found);
            }
        }
        let above = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.make_dir(above, 0o755)?;
        match target(&parent, name, above)? {
            Some(_) if links == 0 => return Err(Errno::LOOP.into()),
            Some(target) => return self.make_file_through(&target, links - 1),
            None => {}
        }
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
            // Made by somebody else just now.
            Err(Errno::EXIST) => self.handle(path),
            Err(error) => Err(error.into()),
            Ok(made) => Ok(made),
        }
    }

    fn resolve(
        &self,
        path: &Path,
        flags: OFlags,
        mode: Mode,
        more: ResolveFlags,
    ) -> io::Result<OwnedFd> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        for _ in 0..TRIES {
            match openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, how) {
                Err(Errno::AGAIN) => {}
                other => return Ok(other?),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

/// Where `name` in `dir` points to, if it is a link; relative to the root like
/// `parent`, the path of `dir`.
fn target(dir: &OwnedFd, name: &OsStr, parent: &Path) -> io::Result<Option<PathBuf>> {
    match readlinkat(dir, name, Vec::new()) {
        Ok(target) => Ok(Some(parent.join(OsStr::from_bytes(target.as_bytes())))),
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes `name` in `dir` and opens exactly that.
fn make_one(dir: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<OwnedFd> {
    match mkdirat(dir, name, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn path_of(fd: &OwnedFd) -> PathBuf {
        use std::os::fd::AsRawFd;
        fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap()
    }

    #[test]
    fn links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("root");
        fs::create_dir_all(inside.join("etc")).unwrap();
        fs::write(inside.join("etc/passwd"), "ours").unwrap();
        symlink("/etc/passwd", inside.join("absolute")).unwrap();
        symlink("../../../../etc/passwd", inside.join("upward")).unwrap();
        let root = Root::at(&inside).unwrap();
        for path in ["absolute", "/upward", "../../etc/passwd", "/etc/../../../etc/passwd"] {
            assert_eq!(path_of(&root.handle(path).unwrap()), inside.join("etc/passwd"), "{path}");
        }
        assert!(root.handle_without_links("absolute").is_err());
        assert!(root.handle_without_links("/etc/passwd").is_ok());
    }

    #[test]
    fn what_is_made_is_made_inside() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("root");
        fs::create_dir_all(inside.join("data")).unwrap();
        symlink("/data", inside.join("link")).unwrap();
        symlink("/../..", inside.join("out")).unwrap();
        let root = Root::at(&inside).unwrap();
        root.make_dir("/link/a/b", 0o755).unwrap();
        assert!(inside.join("data/a/b").is_dir());
        root.make_dir("out/x", 0o755).unwrap();
        assert!(inside.join("x").is_dir());
        root.make_file("/link/new/file").unwrap();
        assert!(inside.join("data/new/file").is_file());
        assert!(root.make_file("/data").is_err());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    /// As images have it: `/etc/resolv.conf` pointing to what a service would make.
    #[test]
    fn a_link_to_nowhere_has_its_target_made_inside() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("root");
        fs::create_dir_all(inside.join("etc")).unwrap();
        symlink("../run/resolve/stub.conf", inside.join("etc/resolv.conf")).unwrap();
        symlink(dir.path().join("outside"), inside.join("data")).unwrap();
        symlink("../../../../up", inside.join("out")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        let root = Root::at(&inside).unwrap();
        root.make_file("/etc/resolv.conf").unwrap();
        assert!(inside.join("run/resolve/stub.conf").is_file());
        root.make_dir("/data/x", 0o755).unwrap();
        root.make_file("/out/file").unwrap();
        assert!(inside.join("up/file").is_file());
        assert!(!dir.path().join("outside").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(root.make_dir("/loop", 0o755).is_err());
        assert!(root.make_file("/loop").is_err());
    }
}
