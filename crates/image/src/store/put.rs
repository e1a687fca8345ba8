//! Recording an image whose layers are here.

use std::{path::Path, sync::Arc};

use shoal_model::{Digest, Reference};

use super::{Inner, Lease, Store, dirs::Ingest, index::ImageRecord};
use crate::{Error, Image, ImageConfig, Result};

/// Longest image document. Docker's are a few KiB; a label or history of this
/// size is an attack on memory.
pub(super) const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// A directory on the store's file system for work in progress (an upper
/// directory of a build, say). Removed when dropped, and by the next open.
#[derive(Debug)]
pub struct Scratch(Ingest);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Store {
    /// A fresh directory on the store's file system.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<Scratch> {
        self.inner.dirs.ingest().map(Scratch)
    }

    /// Records an image of layers that are here. `config.rootfs` is set from
    /// `layers` (lowest first). An image that is already here only gets the tags.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`] when a layer is missing.
    pub fn put_image(
        &self,
        mut config: ImageConfig,
        layers: &[Digest],
        tags: &[Reference],
        parent: Option<&Digest>,
    ) -> Result<Image> {
        config.rootfs.diff_ids = layers.to_vec();
        let bytes =
            serde_json::to_vec(&config).map_err(|error| Error::invalid("image config", error))?;
        let lease = self.lease_layers(layers);
        self.inner.put_image(&bytes, &NewImage { tags, parent, ..NewImage::default() }, &lease)
    }
}

/// What goes into the index with an image.
#[derive(Default)]
pub(super) struct NewImage<'a> {
    pub(super) tags: &'a [Reference],
    /// `name@digest`.
    pub(super) digests: &'a [Reference],
    pub(super) manifests: &'a [Digest],
    pub(super) parent: Option<&'a Digest>,
}

/// Reads an image document and checks what the store relies on.
pub(super) fn parse_config(bytes: &[u8]) -> Result<ImageConfig> {
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(Error::invalid("image config", "too long"));
    }
    let config: ImageConfig =
        serde_json::from_slice(bytes).map_err(|error| Error::invalid("image config", error))?;
    match config.rootfs.kind.as_str() {
        "layers" | "" => Ok(config),
        other => Err(Error::invalid("image config", format!("unknown rootfs type {other:?}"))),
    }
}

impl Inner {
    /// Stores the document and then names it: the moment an image appears.
    pub(super) fn put_image(
        self: &Arc<Self>,
        document: &[u8],
        new: &NewImage<'_>,
        lease: &Lease,
    ) -> Result<Image> {
        let config = parse_config(document)?;
        let steps = config.history.iter().filter(|step| !step.empty_layer).count();
        if steps > config.rootfs.diff_ids.len() {
            let reason = "too many non-empty layers in History section";
            return Err(Error::invalid("image config", reason));
        }
        for layer in &config.rootfs.diff_ids {
            if self.hold_if_present(layer, lease).is_none() {
                return Err(Error::NoSuchContent(layer.clone()));
            }
        }
        let id = self.put_bytes(document, lease)?;
        self.state().documents.entry(id.clone()).or_insert_with(|| Arc::new(config));
        let now = super::now();
        let mut writer = self.writer();
        self.flush(&mut writer)?;
        self.update_as(&mut writer, |index| {
            let record = index.images.entry(id.clone()).or_insert_with(|| ImageRecord {
                parent: new.parent.cloned(),
                ..ImageRecord::default()
            });
            if !new.tags.is_empty() {
                record.last_tagged = Some(now);
            }
            for manifest in new.manifests {
                if !record.manifests.contains(manifest) {
                    record.manifests.push(manifest.clone());
                }
            }
            for tag in new.tags {
                index.tags.insert(without_digest(tag), id.clone());
            }
            for name in new.digests {
                index.digests.insert(name.clone(), id.clone());
            }
            Ok(())
        })?;
        drop(writer);
        self.state().image(&id).ok_or_else(|| Error::NoSuchImage(id.to_string()))
    }
}

/// The tag alone, `latest` if there is none.
pub(super) fn without_digest(name: &Reference) -> Reference {
    match name.tag() {
        // The tag comes from a valid reference.
        Some(tag) => name.with_tag(tag).unwrap_or_else(|_| name.clone()),
        None => name.without_suffix().with_default_tag(),
    }
}
