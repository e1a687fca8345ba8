//! Which files the sources of a `COPY` name, and their checksums.

use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};

use super::SourceTree;
use crate::{
    BuildError,
    glob::{Glob, Stars},
    ignore::Ignore,
    stage::{CopySource, CopyStep},
    tree::{Walk, checksum, clean, kind, walk},
};

/// A file that will be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What is copied.
    pub(crate) kind: FoundKind,
    /// The name it gets in a directory.
    pub(crate) name: PathBuf,
    /// The checksum of its contents, in hexadecimal digits.
    pub(crate) checksum: String,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FoundKind {
    /// A file of the source tree.
    File(PathBuf),
    /// A directory of the source tree, whose contents are copied.
    Directory(PathBuf),
    /// A text of the Dockerfile.
    Content(String),
}

impl Found {
    /// What of it counts for the cache.
    pub(crate) fn identity(&self) -> String {
        match &self.kind {
            // The name of a directory is not copied, only what is in it.
            FoundKind::Directory(_) => format!("dir:{}", self.checksum),
            FoundKind::File(_) | FoundKind::Content(_) => {
                format!("file:{}:{}", self.checksum, self.name.display())
            }
        }
    }
}

/// How the history names what was copied.
pub(crate) fn label(found: &[Found]) -> String {
    match found {
        [Found { kind: FoundKind::Directory(_), checksum, .. }] => format!("dir:{checksum}"),
        [one] => format!("file:{}", one.checksum),
        many => {
            let mut hash = Sha256::new();
            many.iter().for_each(|one| hash.update(one.checksum.as_bytes()));
            format!("multi:{}", hex::encode(hash.finalize()))
        }
    }
}

/// Finds all sources of a step.
///
/// # Errors
/// In Docker's words: a file that is not there, a path that leads out of the
/// context, a pattern that matches nothing.
pub(crate) fn find(step: &CopyStep, source: &SourceTree) -> Result<Vec<Found>, BuildError> {
    let failed = |message: String| BuildError::Copy { instruction: step.instruction, message };
    let exclude = Ignore::new(step.exclude.iter().map(String::as_str)).map_err(failed)?;
    let mut found = Vec::new();
    for one in &step.sources {
        match one {
            CopySource::Content { name, text } => found.push(Found {
                kind: FoundKind::Content(text.clone()),
                name: PathBuf::from(name),
                checksum: hex::encode(Sha256::digest(text.as_bytes())),
            }),
            CopySource::Path(path) => {
                found.extend(of_path(path, source, &exclude).map_err(failed)?);
            }
        }
    }
    if found.is_empty() {
        return Err(failed("no source files were specified".to_owned()));
    }
    Ok(found)
}

fn of_path(path: &str, source: &SourceTree, exclude: &Ignore) -> Result<Vec<Found>, String> {
    if source.is_context && leads_out(Path::new(path)) {
        return Err(format!("forbidden path outside the build context: {path} ()"));
    }
    let cleaned = clean(Path::new(path));
    // A file may have a name that looks like a pattern.
    if !path.contains(['*', '?', '[', '\\']) {
        return Ok(vec![one(&cleaned, source, exclude)?]);
    }
    let pattern = cleaned.to_string_lossy();
    let glob = Glob::new(&pattern, Stars::Single)
        .ok_or_else(|| format!("syntax error in pattern: {path:?}"))?;
    let depth = cleaned.components().count();
    let mut matches = Vec::new();
    walk(&source.tree, Path::new(""), &mut |entry| {
        if glob.matches(&entry.path.to_string_lossy()) && !exclude.matches(entry.path) {
            matches.push(entry.path.to_owned());
        }
        // `*` does not match `/`: nothing matches further down.
        let deep_enough = entry.path.components().count() >= depth;
        Ok(if deep_enough { Walk::Skip } else { Walk::Enter })
    })
    .map_err(|error| error.to_string())?;
    matches.iter().map(|path| one(path, source, exclude)).collect()
}

/// Whether a path goes above where it starts.
fn leads_out(path: &Path) -> bool {
    let mut depth = 0i64;
    path.components().any(|component| {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
        depth < 0
    })
}

fn one(path: &Path, source: &SourceTree, exclude: &Ignore) -> Result<Found, String> {
    let missing = |error: std::io::Error| {
        let path = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound if source.is_context => format!(
                "file not found in build context or excluded by .dockerignore: stat {path}: file \
                 does not exist"
            ),
            std::io::ErrorKind::NotFound => format!("stat {path}: file does not exist"),
            _ => format!("{path}: {error}"),
        }
    };
    let stat = source.tree.stat(path).map_err(missing)?;
    let is_directory = kind(&stat) == FileType::Directory;
    let sum = checksum(&source.tree, path, &|inner| exclude.matches(inner)).map_err(missing)?;
    let path = path.to_owned();
    Ok(Found {
        name: path.file_name().map(PathBuf::from).unwrap_or_default(),
        kind: if is_directory { FoundKind::Directory(path) } else { FoundKind::File(path) },
        checksum: hex::encode(sum),
    })
}
