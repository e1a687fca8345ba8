//! The build context: a tar stream from a client, unpacked below a directory
//! of ours and gone with the build.

mod archive;
mod compression;

use std::{
    io::{self, Read},
    os::fd::AsFd as _,
    path::Path,
};

use shoal_model::{Classify, Kind};
use tempfile::TempDir;

use crate::ignore::{Ignore, MAX_IGNORE_BYTES};
use crate::tree::{self, Owner, Tree};

pub(crate) use archive::{Unpack, looks_like_tar, unpack};
pub(crate) use compression::{Compression, decoder, detect};

/// The most bytes of files a context may have. Docker has no limit; this one
/// keeps a mistake (`docker build /`) from filling the disk.
const MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;

/// The most files a context may have: inodes run out, too.
const MAX_FILES: u64 = 4_000_000;

/// How much of a client's stream is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextLimits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Number of files and directories.
    pub files: u64,
}

impl Default for ContextLimits {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, files: MAX_FILES }
    }
}

/// A context that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The stream ended early or is no tar.
    #[error("cannot read the build context")]
    Read(#[source] io::Error),
    /// The stream names a file outside of the context, or one of a kind that
    /// has no place in it.
    #[error("build context has an invalid entry {path:?}: {reason}")]
    Entry {
        /// The name in the stream.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be written here.
    #[error("cannot store the build context")]
    Write(#[source] io::Error),
    /// More than the limits allow.
    #[error("build context has more than {0}")]
    TooLarge(String),
    /// The `.dockerignore` cannot be read.
    #[error("failed to read .dockerignore: {0}")]
    Ignore(String),
    /// A kind of compression that is not built in.
    #[error("build context is compressed with {0}, which is not supported yet (send it as gzip)")]
    Compression(&'static str),
}

impl Classify for ContextError {
    fn kind(&self) -> Kind {
        match self {
            Self::Read(_) | Self::Entry { .. } | Self::TooLarge(_) | Self::Ignore(_) => {
                Kind::Invalid
            }
            Self::Compression(_) => Kind::NotImplemented,
            Self::Write(error) if error.kind() == io::ErrorKind::StorageFull => Kind::Unavailable,
            Self::Write(_) => Kind::Internal,
        }
    }
}

/// The files a build may copy. Dropping it removes them.
#[derive(Debug)]
pub struct Context {
    directory: TempDir,
}

impl Context {
    /// Unpacks a tar, also one that is compressed with gzip or zstd, into a new
    /// directory below `under`. Blocks.
    ///
    /// # Errors
    /// If the stream is no tar, names files outside of itself, or is larger
    /// than the limits; nothing is left behind then.
    pub fn receive(
        body: impl Read,
        under: &Path,
        limits: &ContextLimits,
    ) -> Result<Self, ContextError> {
        std::fs::create_dir_all(under).map_err(ContextError::Write)?;
        let directory = tempfile::Builder::new()
            .prefix("build-")
            .tempdir_in(under)
            .map_err(ContextError::Write)?;
        let context = Self { directory };
        let tree = context.tree().map_err(ContextError::Write)?;
        let (compression, body) = detect(body).map_err(ContextError::Read)?;
        let mut body = decoder(compression, body)?;
        unpack(&mut body, &tree, Path::new(""), &Unpack::context(*limits))?;
        // The padding behind the end is the client's to finish sending.
        io::copy(&mut body.take(limits.bytes), &mut io::sink()).map_err(ContextError::Read)?;
        Ok(context)
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The files.
    pub(crate) fn tree(&self) -> io::Result<Tree> {
        Tree::open(self.directory.path())
    }

    /// Removes the Dockerfile and the list of ignored files if that list names
    /// them: a client has to send the two. All else it names is the client's
    /// business, as it is with Docker: who sends a tar wants what is in it.
    ///
    /// # Errors
    /// If the list cannot be read or a pattern is not well-formed.
    pub(crate) fn hide_ignored(&self, list: &Path, dockerfile: &Path) -> Result<(), ContextError> {
        let tree = self.tree().map_err(ContextError::Write)?;
        let bytes = match tree.read(list, MAX_IGNORE_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ContextError::Ignore(error.to_string())),
        };
        let ignore = Ignore::parse(&bytes).map_err(ContextError::Ignore)?;
        for path in [list, dockerfile].into_iter().filter(|path| ignore.matches(path)) {
            let (parent, name) =
                tree.parent(path, Owner::default()).map_err(ContextError::Write)?;
            tree::remove_entry(parent.as_fd(), &name).map_err(ContextError::Write)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
