//! What can go wrong with images, in Docker's words where users see them.
//!
//! One enum for the store; what belongs to unpacking a layer and to talking
//! with a registry has its own and is carried inside.

use std::{fmt, io};

use shoal_model::{Classify, Digest, Kind, ReferenceError};

use crate::{layer::LayerError, remote::RemoteError};

/// The result of the store's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on the image store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither tag, digest nor id prefix names an image. The text is what was
    /// asked for, as Docker repeats it.
    #[error("No such image: {0}")]
    NoSuchImage(String),
    /// A push of a repository of which nothing is tagged here.
    #[error("An image does not exist locally with the tag: {0}")]
    NotTagged(String),
    /// A push of a tag that is not here, of a repository of which others are.
    #[error("tag does not exist: {0}")]
    NoSuchTag(String),
    /// The last name of an image that containers use.
    #[error(
        "conflict: unable to remove repository reference \"{reference}\" (must force) - \
         container {container} is using its referenced image {image}"
    )]
    ReferenceInUse {
        /// What was to be removed, as the user wrote it.
        reference: String,
        /// Short container id.
        container: String,
        /// Short image id.
        image: String,
    },
    /// An image that cannot go, or only by force.
    #[error("conflict: unable to delete {image} ({}) - {reason}", if *.hard { "cannot be forced" } else { "must be forced" })]
    CannotDelete {
        /// Short image id.
        image: String,
        /// Force does not help.
        hard: bool,
        /// Docker's reason.
        reason: String,
    },
    /// A tag was wanted and a digest given.
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,
    /// A reference that does not follow the grammar.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// An image document, archive or option that is wrong.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which document or option.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Content is named that the store does not hold.
    #[error("content {0} is not in the store")]
    NoSuchContent(Digest),
    /// Content whose bytes are not those its name promises.
    #[error("{what}: expected digest {expected}, got {actual}")]
    DigestMismatch {
        /// What was read.
        what: String,
        /// The name.
        expected: Digest,
        /// The sum of the bytes.
        actual: Digest,
    },
    /// The operating system refused.
    #[error("{action}")]
    Io {
        /// What was tried, naming the file.
        action: String,
        /// Its answer.
        source: IoCause,
    },
    /// Another daemon has the directory open.
    #[error("image store {0} is in use by another process")]
    Locked(String),
    /// A layer could not be unpacked or written.
    #[error("failed to register layer {layer}")]
    Layer {
        /// Diff id, or the digest of the compressed form where that is known.
        layer: String,
        /// What happened.
        source: LayerError,
    },
    /// A registry refused or could not be reached.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Understood and not supported.
    #[error("{0} is not supported yet")]
    NotSupported(String),
    /// The operation was given up, because whoever waited for it left.
    #[error("{0} was cancelled")]
    Cancelled(String),
    /// One operation that several callers waited for failed; they all get it.
    #[error(transparent)]
    Shared(#[from] std::sync::Arc<Error>),
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source: IoCause(source) }
    }

    pub(crate) fn invalid(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Invalid { what: what.into(), reason: reason.to_string() }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchImage(_)
            | Self::NotTagged(_)
            | Self::NoSuchTag(_)
            | Self::NoSuchContent(_) => Kind::NotFound,
            Self::ReferenceInUse { .. } | Self::CannotDelete { .. } => Kind::Conflict,
            Self::TagWithDigest | Self::Reference(_) | Self::Invalid { .. } => Kind::Invalid,
            Self::DigestMismatch { .. } | Self::Cancelled(_) => Kind::Internal,
            Self::Locked(_) => Kind::Unavailable,
            Self::Io { source, .. } => source.kind(),
            Self::Layer { source, .. } => source.kind(),
            Self::Remote(source) => source.kind(),
            Self::NotSupported(_) => Kind::NotImplemented,
            Self::Shared(error) => error.kind(),
        }
    }
}

/// An answer of the operating system in the words users know from Docker:
/// `no space left on device`, without Rust's error number.
#[derive(Debug)]
pub struct IoCause(pub io::Error);

impl IoCause {
    /// A full disk is worth a later try; the rest is the machine's fault.
    pub fn kind(&self) -> Kind {
        match self.0.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Unavailable,
            _ => Kind::Internal,
        }
    }
}

impl From<io::Error> for IoCause {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for IoCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        if self.0.raw_os_error().is_none() {
            return f.write_str(&text);
        }
        let words = text.split(" (os error").next().unwrap_or(&text);
        let mut characters = words.chars();
        match characters.next() {
            Some(first) => write!(f, "{}{}", first.to_lowercase(), characters.as_str()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for IoCause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_reads_as_docker_says_it() {
        let error = Error::io("write blob")(io::Error::from_raw_os_error(28));
        assert_eq!(error.chain(), "write blob: no space left on device");
        assert_eq!(error.kind(), Kind::Unavailable);
    }

    #[test]
    fn deletion_conflicts_have_dockers_words() {
        let conflict = |hard| Error::CannotDelete {
            image: "0123456789ab".into(),
            hard,
            reason: "image is being used by running container 1".into(),
        };
        assert_eq!(
            conflict(true).to_string(),
            "conflict: unable to delete 0123456789ab (cannot be forced) - \
             image is being used by running container 1"
        );
        assert!(conflict(false).to_string().contains("(must be forced)"));
    }
}
