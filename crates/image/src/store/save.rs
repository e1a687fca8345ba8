//! `docker save`: an OCI layout that old engines read as well.
//!
//! ```text
//! blobs/sha256/…   documents, and layers as uncompressed tars
//! index.json       one manifest per image and tag (OCI)
//! oci-layout
//! manifest.json    config, tags and layers by path (Docker)
//! repositories     tags by repository (Docker before 1.10)
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use serde::Serialize;
use shoal_model::{Digest, Reference};

use super::{Inner, Lease, Store};
use crate::{
    Error, Image, Result,
    manifest::{
        ANNOTATION_NAME, ANNOTATION_REF, Descriptor, Manifest, ManifestIndex, OCI_CONFIG,
        OCI_INDEX, OCI_LAYER, OCI_MANIFEST,
    },
    tarball::{Entry, EntryKind, TarWriter},
};

/// An image to be written, with the names it keeps.
struct Saved {
    image: Image,
    tags: Vec<Reference>,
}

/// An entry of Docker's `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    layer_sources: BTreeMap<Digest, Descriptor>,
}

impl Store {
    /// Writes images as `docker save` does: an OCI layout with Docker's
    /// `manifest.json` and `repositories`. A name without tag means all tags
    /// of the repository.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchImage`]; when `out` fails.
    pub fn save(&self, names: &[String], out: impl Write) -> Result<()> {
        let lease = self.lease();
        let saved = self.choose(names, &lease)?;
        let mut archive = Archive::new(out, &self.inner);
        for saved in &saved {
            archive.image(saved)?;
        }
        archive.finish()
    }

    /// Which images, each once, with the tags that were asked for. The lease
    /// holds them.
    fn choose(&self, names: &[String], lease: &Lease) -> Result<Vec<Saved>> {
        let mut state = self.inner.state();
        let mut found: Vec<Saved> = Vec::new();
        for name in names {
            let mut matches = Vec::new();
            let reference = Reference::parse(name).ok();
            if let Some(reference) = &reference
                && reference.tag().is_none()
                && reference.digest().is_none()
            {
                let of_repository =
                    state.index.tags.iter().filter(|(tag, _)| tag.name() == reference.name());
                matches.extend(of_repository.map(|(tag, id)| (id.clone(), Some(tag.clone()))));
            }
            if matches.is_empty() {
                let id = state.find(name)?;
                let tag = reference.filter(|reference| {
                    reference.digest().is_none() && state.index.named(reference) == Some(&id)
                });
                matches.push((id, tag));
            }
            for (id, tag) in matches {
                let position = found.iter().position(|saved| saved.image.id == id);
                let index = match position {
                    Some(index) => index,
                    None => {
                        let image =
                            state.image(&id).ok_or_else(|| Error::NoSuchImage(name.clone()))?;
                        found.push(Saved { image, tags: Vec::new() });
                        found.len() - 1
                    }
                };
                if let Some(tag) = tag
                    && !found[index].tags.contains(&tag)
                {
                    found[index].tags.push(tag);
                }
            }
        }
        for saved in &found {
            state.hold_image(lease.id(), &saved.image);
        }
        Ok(found)
    }
}

/// The archive being written.
struct Archive<'a, W> {
    tar: TarWriter<W>,
    store: &'a Inner,
    written: BTreeSet<Digest>,
    index: Vec<Descriptor>,
    docker: Vec<DockerEntry>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

impl<'a, W: Write> Archive<'a, W> {
    fn new(out: W, store: &'a Inner) -> Self {
        Self {
            tar: TarWriter::new(out),
            store,
            written: BTreeSet::new(),
            index: Vec::new(),
            docker: Vec::new(),
            repositories: BTreeMap::new(),
        }
    }

    fn image(&mut self, saved: &Saved) -> Result<()> {
        let image = &saved.image;
        let mut layers = Vec::new();
        for diff_id in &image.layers {
            let size = self.store.layer_record(diff_id)?.tar_size;
            layers.push(Descriptor::new(OCI_LAYER, diff_id.clone(), size));
            self.layer(diff_id, size)?;
        }
        let document = self.store.read_blob(&image.id)?;
        self.blob(&image.id, &document)?;
        let config = Descriptor::new(OCI_CONFIG, image.id.clone(), document.len() as u64);
        let manifest = Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST.into(),
            config,
            layers: layers.clone(),
        };
        let bytes = to_json(&manifest)?;
        let digest = digest_of(&bytes);
        self.blob(&digest, &bytes)?;
        self.name(saved, &Descriptor::new(OCI_MANIFEST, digest, bytes.len() as u64));
        self.docker.push(DockerEntry {
            config: blob_path(&image.id),
            repo_tags: (!saved.tags.is_empty())
                .then(|| saved.tags.iter().map(Reference::familiar).collect()),
            layers: image.layers.iter().map(blob_path).collect(),
            layer_sources: layers.into_iter().map(|layer| (layer.digest.clone(), layer)).collect(),
        });
        Ok(())
    }

    fn name(&mut self, saved: &Saved, manifest: &Descriptor) {
        if saved.tags.is_empty() {
            self.index.push(manifest.clone());
        }
        for tag in &saved.tags {
            let mut named = manifest.clone();
            let short = tag.tag().unwrap_or_default().to_owned();
            named.annotations.insert(ANNOTATION_NAME.into(), tag.to_string());
            named.annotations.insert(ANNOTATION_REF.into(), short.clone());
            self.index.push(named);
            if let Some(top) = saved.image.layers.last() {
                let repository = self.repositories.entry(tag.familiar_name()).or_default();
                repository.insert(short, top.hex().into());
            }
        }
    }

    fn layer(&mut self, diff_id: &Digest, size: u64) -> Result<()> {
        if !self.written.insert(diff_id.clone()) {
            return Ok(());
        }
        self.begin(&blob_path(diff_id), size)?;
        self.store.write_layer(diff_id, Body(&mut self.tar))
    }

    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.written.insert(digest.clone()) {
            self.file(&blob_path(digest), bytes)
        } else {
            Ok(())
        }
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.begin(path, bytes.len() as u64)?;
        self.tar.data(bytes).map_err(Error::io(format!("write {path}")))
    }

    fn begin(&mut self, path: &str, size: u64) -> Result<()> {
        let entry = Entry {
            path: path.into(),
            kind: EntryKind::Regular,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size,
            // The epoch, so that the same images give the same archive.
            mtime: (0, 0),
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        };
        self.tar.entry(&entry).map_err(Error::io(format!("write {path}")))
    }

    fn finish(mut self) -> Result<()> {
        let index = ManifestIndex {
            schema_version: 2,
            media_type: OCI_INDEX.into(),
            manifests: std::mem::take(&mut self.index),
        };
        self.file("index.json", &to_json(&index)?)?;
        self.file("manifest.json", &to_json(&self.docker)?)?;
        self.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if !self.repositories.is_empty() {
            self.file("repositories", &to_json(&self.repositories)?)?;
        }
        let failed = Error::io("write archive");
        self.tar.finish().and_then(|mut out| out.flush()).map_err(failed)
    }
}

/// The body of the current entry.
struct Body<'a, W>(&'a mut TarWriter<W>);

impl<W: Write> Write for Body<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.data(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::invalid("image archive", error))
}

fn digest_of(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::sha256(sha2::Sha256::digest(bytes).into())
}
