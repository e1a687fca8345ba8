//! `docker load`: archives as all engines write them.
//!
//! The members are spooled to the store first, because manifests stand behind
//! the layers they name; then the layers are unpacked, several at a time. A
//! member is used only under a digest that was checked.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read, Write},
    path::PathBuf,
};

use serde::Deserialize;
use shoal_model::{Digest, Platform, Reference};

use super::{Inner, Store, blobs::Blob};
use crate::{
    Error, Image, ProgressSink, Result,
    layer::decoder,
    manifest::{self, ANNOTATION_NAME, ANNOTATION_REF, Descriptor, Document, Manifest},
    tarball::{EntryKind, TarError, TarReader},
};

#[path = "unspool.rs"]
mod unspool;

/// Most members of an archive: an image has at most a few hundred layers, and
/// old archives three members for each.
const MAX_MEMBERS: usize = 100_000;
/// Most images of an archive.
const MAX_IMAGES: usize = 4096;
/// Longest document in an archive.
const MAX_DOCUMENT_BYTES: u64 = 8 << 20;
/// Indexes within indexes.
const MAX_INDEX_DEPTH: u32 = 4;

/// An image of the archive.
struct Wanted {
    /// Member path of the document: it is read when it is its turn, so that a
    /// long list of images does not fill the memory.
    config: String,
    /// Lowest first: member path of each layer.
    layers: Vec<String>,
    names: Vec<Reference>,
}

/// An entry of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl Store {
    /// Reads such an archive, or an older one, or a plain OCI layout, also
    /// compressed (gzip, zstd). Says each image as [`crate::Progress::Loaded`].
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] naming the member; [`crate::Error::Layer`].
    pub fn load(&self, input: impl Read + Send, progress: ProgressSink) -> Result<Vec<Image>> {
        let archive = Archive::spool(&self.inner, input)?;
        let lease = self.lease();
        let mut images = Vec::new();
        for wanted in archive.images()? {
            images.push(archive.load(&self.inner, &wanted, &lease, &progress)?);
        }
        if images.is_empty() {
            return Err(Error::invalid("archive", "no image in it"));
        }
        Ok(images)
    }
}

/// The members of an archive, on disk.
struct Archive {
    files: HashMap<String, Blob>,
    links: HashMap<String, String>,
}

impl Archive {
    fn spool(store: &Inner, input: impl Read + Send) -> Result<Self> {
        let read = |error| Error::io("read archive")(error);
        let (plain, _) = decoder(BufReader::with_capacity(256 << 10, input)).map_err(read)?;
        let mut tar = TarReader::new(BufReader::with_capacity(256 << 10, plain));
        let mut archive = Self { files: HashMap::new(), links: HashMap::new() };
        while let Some(entry) = tar.next().map_err(not_a_tar)? {
            if archive.files.len() + archive.links.len() == MAX_MEMBERS {
                return Err(Error::invalid("archive", "too many members"));
            }
            let Some(path) = clean(&entry.path) else {
                let name = String::from_utf8_lossy(&entry.path).into_owned();
                return Err(Error::invalid("archive", format!("invalid member name {name:?}")));
            };
            match entry.kind {
                EntryKind::Regular if entry.sparse.is_none() => {
                    let mut file = store.new_blob()?;
                    loop {
                        let chunk = tar.body_chunk().map_err(read)?;
                        if chunk.is_empty() {
                            break;
                        }
                        let length = chunk.len();
                        file.write_all(chunk).map_err(Error::io(format!("store {path}")))?;
                        tar.consume(length);
                    }
                    archive.files.insert(path, file.seal());
                }
                // Old engines write a layer that was there before as a link.
                EntryKind::Symlink | EntryKind::Hardlink => {
                    let target = String::from_utf8_lossy(&entry.link).into_owned();
                    let base = match entry.kind {
                        EntryKind::Symlink => path.rsplit_once('/').map_or("", |(base, _)| base),
                        _ => "",
                    };
                    if let Some(target) = clean(format!("{base}/{target}").as_bytes()) {
                        archive.links.insert(path, target);
                    }
                }
                EntryKind::Directory => {}
                _ => return Err(Error::invalid(path, "not a file")),
            }
        }
        Ok(archive)
    }

    fn file(&self, path: &str) -> Result<&Blob> {
        let path = clean(path.as_bytes()).unwrap_or_default();
        let path = self.links.get(&path).unwrap_or(&path);
        self.files.get(path).ok_or_else(|| Error::invalid(path.clone(), "not in the archive"))
    }

    fn open(&self, path: &str) -> Result<File> {
        File::open(self.file(path)?.path()).map_err(Error::io(format!("read {path}")))
    }

    fn document(&self, path: &str) -> Result<Vec<u8>> {
        if self.file(path)?.size > MAX_DOCUMENT_BYTES {
            return Err(Error::invalid(path, "too long"));
        }
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes).map_err(Error::io(format!("read {path}")))?;
        Ok(bytes)
    }

    /// A document that must have that digest.
    fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.document(&self.checked(digest)?)
    }

    /// The path of a member that has the digest it is named after.
    fn checked(&self, expected: &Digest) -> Result<String> {
        let path = format!("blobs/sha256/{}", expected.hex());
        let actual = self.file(&path)?.digest.clone();
        if actual == *expected {
            return Ok(path);
        }
        Err(Error::DigestMismatch { what: path, expected: expected.clone(), actual })
    }

    /// What is in it. Docker's own list comes first: it is the one that names
    /// what was saved.
    fn images(&self) -> Result<Vec<Wanted>> {
        if self.files.contains_key("manifest.json") {
            return self.docker_images();
        }
        if self.files.contains_key("index.json") {
            return self.layout_images();
        }
        if self.files.contains_key("repositories") {
            return Err(Error::NotSupported("an archive of Docker before 1.10".into()));
        }
        Err(Error::invalid("archive", "neither manifest.json nor index.json is in it"))
    }

    fn docker_images(&self) -> Result<Vec<Wanted>> {
        let wrong = |error: &dyn std::fmt::Display| Error::invalid("manifest.json", error);
        let entries: Vec<DockerEntry> = serde_json::from_slice(&self.document("manifest.json")?)
            .map_err(|error| wrong(&error))?;
        let mut found = Vec::new();
        check_count(entries.len())?;
        for entry in entries {
            let mut names = Vec::new();
            for tag in entry.repo_tags.unwrap_or_default() {
                let name = Reference::parse(&tag)?;
                if name.digest().is_some() {
                    return Err(wrong(&format!("invalid tag {tag:?}")));
                }
                names.push(name.with_default_tag());
            }
            self.file(&entry.config)?;
            let layers = entry.layers.unwrap_or_default();
            found.push(Wanted { config: entry.config, layers, names });
        }
        Ok(found)
    }

    fn layout_images(&self) -> Result<Vec<Wanted>> {
        let Document::Index(index) = manifest::parse(&self.document("index.json")?)? else {
            return Err(Error::invalid("index.json", "not an index"));
        };
        check_count(index.manifests.len())?;
        let mut found: Vec<(Digest, Wanted)> = Vec::new();
        for entry in &index.manifests {
            let Some((digest, image)) = self.image_of(entry, 0)? else { continue };
            let names = name_of(entry).into_iter();
            match found.iter_mut().find(|(known, _)| *known == digest) {
                Some((_, wanted)) => wanted.names.extend(names),
                None => {
                    let layers = image.layers.iter();
                    let wanted = Wanted {
                        config: self.checked(&image.config.digest)?,
                        layers: layers
                            .map(|layer| self.checked(&layer.digest))
                            .collect::<Result<_>>()?,
                        names: names.collect(),
                    };
                    found.push((digest, wanted));
                }
            }
        }
        Ok(found.into_iter().map(|(_, wanted)| wanted).collect())
    }

    /// The image behind an index entry, for this machine if there are several.
    fn image_of(&self, entry: &Descriptor, depth: u32) -> Result<Option<(Digest, Manifest)>> {
        if depth == MAX_INDEX_DEPTH {
            return Err(Error::invalid("index.json", "too many indexes within each other"));
        }
        match manifest::parse(&self.blob(&entry.digest)?)? {
            Document::Image(image) => {
                manifest::check_image(&image)?;
                Ok(Some((entry.digest.clone(), image)))
            }
            Document::Index(index) => match index.choose(&Platform::host()) {
                Some(chosen) => self.image_of(chosen, depth + 1),
                None => Ok(None),
            },
        }
    }
}

/// A member's path without `./`; `None` if it climbs out.
fn clean(path: &[u8]) -> Option<String> {
    let text = String::from_utf8(path.to_vec()).ok()?;
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.iter().collect::<PathBuf>().to_str()?.to_owned())
}

/// The name in an index: whole, or only a tag (which names nothing).
fn name_of(entry: &Descriptor) -> Option<Reference> {
    let whole = entry.annotations.get(ANNOTATION_NAME);
    let part = entry.annotations.get(ANNOTATION_REF).filter(|name| name.contains([':', '/']));
    let name = Reference::parse(whole.or(part)?).ok()?;
    Some(name.with_default_tag())
}

fn check_count(images: usize) -> Result<()> {
    if images > MAX_IMAGES {
        return Err(Error::invalid("archive", "too many images"));
    }
    Ok(())
}

fn not_a_tar(error: TarError) -> Error {
    match error {
        TarError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::invalid("archive", "it ends too early")
        }
        TarError::Io(error) => Error::io("read archive")(error),
        TarError::Format(reason) => Error::invalid("archive", reason),
    }
}
