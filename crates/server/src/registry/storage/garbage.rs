//! Garbage: blobs that no manifest names any more, and uploads given up.
//!
//! Only while nobody serves the directory: a push brings its blobs before the
//! manifest that names them. Everything is looked at before anything goes, and
//! a manifest that cannot be read ends it, as nobody knows what it needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use shoal_model::Digest;

use super::{Storage, is_older, names_in, remove};

/// What a collection takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GarbageOptions {
    /// Only say what would go.
    pub dry_run: bool,
    /// Also manifests that no tag leads to, by themselves or through an index
    /// or the manifest they are about.
    pub untagged: bool,
    /// Uploads nobody has written to for so long.
    pub upload_age: Duration,
}

/// What a collection took, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Repository and digest of manifests.
    pub manifests: Vec<(String, String)>,
    /// Digest and bytes of blobs.
    pub blobs: Vec<(String, u64)>,
    /// Bytes of each upload.
    pub uploads: Vec<u64>,
    /// What goes, in this order: links before what they lead to.
    paths: Vec<PathBuf>,
}

impl Garbage {
    /// Bytes of disk space in all.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|(_, bytes)| bytes).chain(&self.uploads).sum()
    }
}

/// What a manifest names.
#[derive(Default, Deserialize)]
struct Content {
    config: Option<Part>,
    layers: Option<Vec<Part>>,
    /// Of artifact manifests.
    blobs: Option<Vec<Part>>,
    manifests: Option<Vec<Part>>,
    subject: Option<Part>,
}

#[derive(Deserialize)]
struct Part {
    digest: Digest,
}

/// Removes the garbage of the registry in `root`.
///
/// # Errors
/// When the directory is no registry's, another process serves it, a manifest
/// cannot be read, or something cannot be removed.
pub fn collect_garbage(root: &Path, options: &GarbageOptions) -> io::Result<Garbage> {
    if !root.join("repositories").is_dir() {
        let reason = format!("there is no registry in {}", root.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    let storage = Storage::locked(root)?;
    let garbage = storage.garbage(options)?;
    if !options.dry_run {
        garbage.paths.iter().try_for_each(|path| remove(path).map(drop))?;
    }
    Ok(garbage)
}

impl Storage {
    fn garbage(&self, options: &GarbageOptions) -> io::Result<Garbage> {
        let mut garbage = Garbage::default();
        let mut held = BTreeSet::new();
        for repository in self.repository_paths()? {
            self.look_at(&repository, options, &mut held, &mut garbage)?;
        }
        for group in names_in(&self.root.join("blobs/sha256"))? {
            let group = self.root.join("blobs/sha256").join(group);
            for hex in names_in(&group)?.into_iter().filter(|hex| !held.contains(hex)) {
                let path = group.join(&hex);
                garbage.blobs.push((format!("sha256:{hex}"), fs::metadata(&path)?.len()));
                garbage.paths.push(path);
            }
        }
        for name in names_in(&self.root.join("uploads"))? {
            let path = self.root.join("uploads").join(name);
            let status = fs::metadata(&path)?;
            if is_older(&status, options.upload_age)? {
                garbage.uploads.push(status.len());
                garbage.paths.push(path);
            }
        }
        Ok(garbage)
    }

    /// Notes what a repository holds, and what of it leads nowhere.
    fn look_at(
        &self,
        repository: &Path,
        options: &GarbageOptions,
        held: &mut BTreeSet<String>,
        garbage: &mut Garbage,
    ) -> io::Result<()> {
        let revisions = repository.join("_manifests/revisions");
        let mut contents = BTreeMap::new();
        for hex in names_in(&revisions)? {
            contents.insert(hex.clone(), self.content(repository, &hex)?);
        }
        let all = contents.keys().cloned().collect();
        let kept = if options.untagged { wanted(&contents, tagged(repository)?) } else { all };
        for (hex, content) in contents.iter().filter(|(hex, _)| !kept.contains(*hex)) {
            let name = repository.strip_prefix(self.root.join("repositories"));
            let name = name.map(|name| name.display().to_string()).unwrap_or_default();
            garbage.manifests.push((name, format!("sha256:{hex}")));
            if let Some(subject) = &content.subject {
                let about = repository.join("_referrers").join(subject.digest.hex());
                garbage.paths.push(about.join(hex));
            }
            garbage.paths.push(revisions.join(hex));
        }
        let mut needed = BTreeSet::new();
        for (_, content) in contents.iter().filter(|(hex, _)| kept.contains(*hex)) {
            let lists = [&content.layers, &content.blobs].into_iter().flatten().flatten();
            let parts = content.config.iter().chain(lists);
            needed.extend(parts.map(|part| part.digest.hex().to_owned()));
        }
        for hex in names_in(&repository.join("_layers"))? {
            if !needed.contains(&hex) {
                garbage.paths.push(repository.join("_layers").join(hex));
            }
        }
        held.extend(needed);
        held.extend(kept);
        Ok(())
    }

    fn content(&self, repository: &Path, hex: &str) -> io::Result<Content> {
        let path = self.root.join("blobs/sha256").join(hex.get(..2).unwrap_or(hex)).join(hex);
        let read = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        read.map_err(|error| {
            let place = repository.display();
            let reason = format!(
                "nothing was removed: the manifest sha256:{hex} of {place} cannot be read: {error}"
            );
            io::Error::new(error.kind(), reason)
        })
    }
}

/// The manifests that tags lead to.
fn tagged(repository: &Path) -> io::Result<BTreeSet<String>> {
    let tags = repository.join("_manifests/tags");
    let mut tagged = BTreeSet::new();
    for tag in names_in(&tags)? {
        let text = fs::read_to_string(tags.join(tag))?;
        tagged.extend(text.trim().strip_prefix("sha256:").map(str::to_owned));
    }
    Ok(tagged)
}

/// Those, the parts of indexes among them, and what is about any of these.
fn wanted(contents: &BTreeMap<String, Content>, mut kept: BTreeSet<String>) -> BTreeSet<String> {
    loop {
        let before = kept.len();
        for (hex, content) in contents {
            let about = content.subject.as_ref().map(|subject| subject.digest.hex());
            if about.is_some_and(|about| kept.contains(about)) {
                kept.insert(hex.clone());
            }
            if kept.contains(hex) {
                let parts = content.manifests.iter().flatten();
                kept.extend(parts.map(|part| part.digest.hex().to_owned()));
            }
        }
        if kept.len() == before {
            return kept;
        }
    }
}
