//! Layers as tar streams and as overlay directories.

use shoal_model::{Classify, Kind};

use crate::IoCause;

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
    /// The tar stream breaks the format.
    #[error("invalid tar stream: {0}")]
    Tar(String),
}

impl Classify for LayerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Tar(_) => Kind::Invalid,
        }
    }
}
