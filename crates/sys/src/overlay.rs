//! Overlay file systems with any number of layers, mounted nowhere.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{mount::MountFlags, thread::UnshareFlags};

use crate::mount::{Attributes, FileSystem, copy_path, handle};

/// Layers seen as one directory tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Read-only layers, topmost first; at least one.
    pub lower: Vec<PathBuf>,
    /// The writable layer and overlayfs's own directory beside it; `None`: the
    /// whole is read-only.
    pub writable: Option<Writable>,
}

/// The part that is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writable {
    /// Takes what is changed.
    pub upper: PathBuf,
    /// Empty, on the same file system.
    pub work: PathBuf,
}

/// `fsconfig` takes values of at most 255 bytes; longer paths go by descriptor.
const LONGEST_VALUE: usize = 255;

impl Overlay {
    /// Mounts it detached: reachable through the descriptor only, gone with it
    /// unless attached. Walk it by `openat` or `/proc/self/fd/N`. The same
    /// writable layer must not be mounted twice at a time.
    ///
    /// # Errors
    /// The kernel's, with its explanation where it gives one.
    pub fn mount(&self) -> io::Result<OwnedFd> {
        match self.mount_by_layer() {
            // Linux before 6.8 does not take layers one by one.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.mount_by_string(),
            other => other,
        }
    }

    fn mount_by_layer(&self) -> io::Result<OwnedFd> {
        let system = FileSystem::new("overlay")?;
        let mut handles = Vec::new();
        let mut set = |name: &str, path: &Path| -> io::Result<()> {
            match path.to_str() {
                Some(text) if text.len() <= LONGEST_VALUE => system
                    .option(name, Some(text))
                    .map_err(|error| io::Error::new(error.kind(), format!("{text}: {error}"))),
                _ => system.option(name, Some(&by_descriptor(path, &mut handles)?)),
            }
        };
        for layer in &self.lower {
            set("lowerdir+", layer)?;
        }
        if let Some(writable) = &self.writable {
            set("upperdir", &writable.upper)?;
            set("workdir", &writable.work)?;
        }
        system.mount(Attributes::default())
    }

    /// With all layers in one string, which the kernel cuts at a page: so every
    /// layer goes by descriptor (about 17 bytes each). Old kernels attach such a
    /// mount at once: on a thread of its own, in a mount namespace of its own.
    fn mount_by_string(&self) -> io::Result<OwnedFd> {
        let overlay = self.clone();
        let thread = std::thread::Builder::new().spawn(move || overlay.mount_in_new_namespace())?;
        thread.join().map_err(|_| io::Error::other("the mounting thread panicked"))?
    }

    fn mount_in_new_namespace(&self) -> io::Result<OwnedFd> {
        // SAFETY: of the flags only FILES is unsafe, and it is not among them.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }?;
        let private = rustix::mount::MountPropagationFlags::PRIVATE
            | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)?;
        let mut handles = Vec::new();
        let mut options = String::from("lowerdir=");
        for (index, layer) in self.lower.iter().enumerate() {
            if index > 0 {
                options.push(':');
            }
            options.push_str(&by_descriptor(layer, &mut handles)?);
        }
        if let Some(writable) = &self.writable {
            let upper = by_descriptor(&writable.upper, &mut handles)?;
            let work = by_descriptor(&writable.work, &mut handles)?;
            options.push_str(&format!(",upperdir={upper},workdir={work}"));
        }
        let place = self.lower.first().ok_or(io::ErrorKind::InvalidInput)?;
        let options = std::ffi::CString::new(options)?;
        rustix::mount::mount("overlay", place, "overlay", MountFlags::empty(), options.as_c_str())?;
        copy_path(place, false)
    }
}

/// A short name for a path; valid in this process as long as the handle is kept.
fn by_descriptor(path: &Path, handles: &mut Vec<OwnedFd>) -> io::Result<String> {
    let handle = handle(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    // Threads share descriptors, and `/proc/self` stays the process's.
    let text = format!("/proc/self/fd/{}", handle.as_raw_fd());
    handles.push(handle);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn layers(dir: &Path, count: usize) -> Vec<PathBuf> {
        let layer = |index: usize| {
            let path = dir.join(format!("{index:0>60}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join(format!("file{index}")), index.to_string()).unwrap();
            fs::write(path.join("shared"), index.to_string()).unwrap();
            path
        };
        (0..count).map(layer).collect()
    }

    fn check(mounted: &OwnedFd, count: usize) {
        let root = PathBuf::from(format!("/proc/self/fd/{}", mounted.as_raw_fd()));
        assert_eq!(fs::read_to_string(root.join("shared")).unwrap(), "0");
        let last = count - 1;
        let text = fs::read_to_string(root.join(format!("file{last}"))).unwrap();
        assert_eq!(text, last.to_string());
        fs::write(root.join("new"), "x").unwrap();
    }

    fn writable(dir: &Path) -> Writable {
        let writable = Writable { upper: dir.join("upper"), work: dir.join("work") };
        fs::create_dir(&writable.upper).unwrap();
        fs::create_dir(&writable.work).unwrap();
        writable
    }

    /// More bytes of layer paths than a page holds.
    #[test]
    fn many_layers_both_ways() {
        type Way = fn(&Overlay) -> io::Result<OwnedFd>;
        for way in [Overlay::mount_by_layer as Way, Overlay::mount_by_string] {
            let dir = tempfile::tempdir().unwrap();
            let lower = layers(dir.path(), 100);
            let overlay = Overlay { lower, writable: Some(writable(dir.path())) };
            let mounted = way(&overlay).unwrap();
            check(&mounted, 100);
            assert!(dir.path().join("upper/new").exists());
            drop(mounted);
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!mounts.contains(dir.path().to_str().unwrap()));
        }
    }

    #[test]
    fn paths_longer_than_a_value() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200)).join("e".repeat(200));
        fs::create_dir_all(&deep).unwrap();
        let lower = layers(&deep, 3);
        let overlay = Overlay { lower, writable: Some(writable(&deep)) };
        check(&overlay.mount().unwrap(), 3);
    }

    #[test]
    fn a_missing_layer_is_an_error() {
        let overlay = Overlay { lower: vec!["/nonexistent".into()], writable: None };
        assert_eq!(overlay.mount().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
