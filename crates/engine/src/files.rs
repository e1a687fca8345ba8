//! Removing what is on disk.

use std::io;
use std::path::Path;

/// Removes a directory and all below it, or whatever else has its name; what is not there is
/// fine.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match shoal_sys::tree::remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what is no container's or volume's. What cannot be removed (an immutable file, a
/// mount) is said, and is in nobody's way.
pub(crate) fn remove_rubbish(path: &Path) {
    if let Err(error) = remove_tree(path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove what nothing belongs to");
    }
}
