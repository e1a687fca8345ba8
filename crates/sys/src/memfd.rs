//! Files in memory that nobody can change any more.

use std::{
    fs::File,
    io::{self, Seek},
    os::fd::OwnedFd,
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A copy of `source`, from its current position, that can be executed and never
/// written, grown or shrunk again. Close-on-exec.
pub fn sealed_copy(name: &str, mut source: File) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before Linux 6.3 every memory file is executable and the flag unknown.
        Err(rustix::io::Errno::INVAL) => memfd_create(name, flags)?,
        other => other?,
    };
    let mut copy = File::from(fd);
    io::copy(&mut source, &mut copy)?;
    copy.rewind()?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn the_copy_reads_the_same_and_refuses_writes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, b"content").unwrap();
        let mut copy = File::from(sealed_copy("x", File::open(&path).unwrap()).unwrap());
        let mut text = String::new();
        copy.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        let refused = copy.write(b"y").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(copy.set_len(0).is_err());
    }
}
