//! Build contexts made in a test.

use std::path::Path;

use crate::{Context, ContextError, ContextLimits};

/// A tar that grows file by file.
pub struct TarContext {
    builder: tar::Builder<Vec<u8>>,
}

impl Default for TarContext {
    fn default() -> Self {
        Self::new()
    }
}

impl TarContext {
    /// An empty one.
    pub fn new() -> Self {
        Self { builder: tar::Builder::new(Vec::new()) }
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.file_with_mode(path, contents, 0o644)
    }

    /// Adds a file with permissions.
    #[must_use]
    pub fn file_with_mode(self, path: &str, contents: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entry(path, tar::EntryType::Regular, contents.as_ref(), None, mode)
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.entry(path, tar::EntryType::Directory, &[], None, 0o755)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, tar::EntryType::Symlink, &[], Some(target), 0o777)
    }

    /// Adds an entry of any kind under any name, also one no honest client
    /// would send.
    #[must_use]
    pub fn entry(
        mut self,
        path: &str,
        kind: tar::EntryType,
        contents: &[u8],
        target: Option<&str>,
        mode: u32,
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        let name = &mut header.as_old_mut().name;
        let length = path.len().min(name.len());
        name[..length].copy_from_slice(&path.as_bytes()[..length]);
        if let Some(target) = target {
            let name = &mut header.as_old_mut().linkname;
            let length = target.len().min(name.len());
            name[..length].copy_from_slice(&target.as_bytes()[..length]);
        }
        header.set_entry_type(kind);
        header.set_size(contents.len() as u64);
        header.set_mode(mode);
        // As on a developer's machine: not root.
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        // Writing to memory does not fail.
        let _ = self.builder.append(&header, contents);
        self
    }

    /// The bytes of the tar.
    pub fn into_bytes(self) -> Vec<u8> {
        self.builder.into_inner().unwrap_or_default()
    }

    /// The context a server makes of it.
    ///
    /// # Errors
    /// As [`Context::receive`].
    pub fn receive(self, under: &Path) -> Result<Context, ContextError> {
        Context::receive(self.into_bytes().as_slice(), under, &ContextLimits::default())
    }
}

/// A small root file system as a tar: the machine's static busybox under the
/// names of its programs, users and groups.
///
/// # Errors
/// If the machine has no `/bin/busybox`.
pub fn busybox_rootfs() -> std::io::Result<Vec<u8>> {
    const PROGRAMS: [&str; 16] = [
        "sh", "cat", "echo", "true", "false", "test", "ls", "cp", "mkdir", "rm", "id", "env",
        "pwd", "touch", "stat", "sleep",
    ];
    let busybox = std::fs::read("/bin/busybox")?;
    let mut tar = TarContext::new()
        .directory("bin")
        .directory("etc")
        .directory("tmp")
        .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/:/bin/sh\n")
        .file("etc/group", "root:x:0:\nwww:x:99:web\nweb:x:34:\n")
        .file_with_mode("bin/busybox", busybox, 0o755);
    for program in PROGRAMS {
        tar = tar.link(&format!("bin/{program}"), "busybox");
    }
    Ok(tar.into_bytes())
}
