//! One process per directory: what is opened is tidied, and that takes what
//! another one has just begun for what was left behind.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// The lock of a registry's directory, held until it is dropped.
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock of the directory `root`.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it.
    pub(super) fn take(root: &Path) -> io::Result<Self> {
        let path = root.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("another process serves the registry in {}", root.display()),
            )),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a program that is just being started has a
        // copy of the descriptor until it is executed.
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "registry not unlocked");
        }
    }
}
