//! Layers as tar streams and as overlay directories, and the way between.
//!
//! Invariant: nothing is ever written outside the directory given, whatever
//! the tar stream says. This module does not know images or the store.

mod codec;
mod diff;
mod gzip;
mod metadata;
mod objects;
mod path;
mod pipe;
mod root;
mod unpack;
mod xattr;

use shoal_model::{Classify, Kind};

pub(crate) use codec::{Compression, decoder, sniff};
pub(crate) use diff::write_tar;
pub(crate) use gzip::compress;
pub(crate) use pipe::{SumWriter, channel, sum_of};
pub(crate) use unpack::{Unpacked, unpack};

use crate::{IoCause, tarball::TarError};

/// A layer that cannot be unpacked or read back.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A file of the layer could not be written or read.
    #[error("{action}")]
    Io {
        /// What was tried: `write /usr/bin/x`.
        action: String,
        /// The answer of the operating system.
        source: IoCause,
    },
    /// The source of the tar stream failed, or its compression is damaged.
    #[error("cannot read the layer's data")]
    Source(#[source] IoCause),
    /// The tar stream breaks the format.
    #[error("invalid tar stream: {0}")]
    Tar(String),
    /// A path or link of the layer leads out of it.
    #[error("invalid path {0:?} in the layer")]
    Path(String),
    /// More entries or bytes than allowed.
    #[error("the layer has more than {limit} {what}")]
    TooMuch {
        /// Entries, bytes or directories within each other.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Something a layer cannot hold.
    #[error("{0} is not supported")]
    NotSupported(String),
}

impl LayerError {
    fn io(verb: &str, path: &[u8]) -> impl FnOnce(std::io::Error) -> Self {
        let action = format!("{verb} /{}", String::from_utf8_lossy(path));
        move |source| Self::Io { action, source: IoCause(source) }
    }
}

impl From<TarError> for LayerError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => Self::Source(IoCause(error)),
            TarError::Format(reason) => Self::Tar(reason),
        }
    }
}

impl Classify for LayerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Source(_) | Self::Tar(_) | Self::Path(_) | Self::TooMuch { .. } => Kind::Invalid,
            Self::NotSupported(_) => Kind::NotImplemented,
        }
    }
}
