//! What `COPY` and `ADD` do to files: which files a source names, and where
//! each goes. Blocks; knows no worker.

mod find;
mod place;

use crate::{
    stage::{CopySource, CopyStep},
    tree::Tree,
};

pub(crate) use find::{Found, FoundKind, find, label};
pub(crate) use place::copy;

/// Where sources are.
pub(crate) struct SourceTree {
    /// The files.
    pub(crate) tree: Tree,
    /// It is the build context, not a stage or an image.
    pub(crate) is_context: bool,
    /// Whatever must not go before the tree.
    pub(crate) keep_alive: Option<Box<dyn std::any::Any + Send + Sync>>,
}

impl std::fmt::Debug for SourceTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceTree")
            .field("tree", &self.tree)
            .field("is_context", &self.is_context)
            .field("holds", &self.keep_alive.is_some())
            .finish()
    }
}

impl CopyStep {
    /// The sources that are paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| match source {
            CopySource::Path(path) => Some(path.as_str()),
            CopySource::Content { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests;
