//! Unpacked layers: one directory each, by diff id.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use serde::{Deserialize, Serialize};
use shoal_model::{Digest, Reference};

use super::{
    Inner, Lease, Store,
    dirs::{Dirs, Ingest},
};
use crate::{
    Error, Image, IoCause, Layer, LayerError, Result,
    layer::{SumWriter, Unpacked, decoder, unpack, write_tar},
};

/// Most repositories remembered per compressed form: each is a place from
/// which a registry may take the blob over instead of receiving it again.
const MAX_SOURCES: usize = 16;

/// `layer.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    pub(super) diff_id: Digest,
    /// Bytes of regular files.
    pub(super) size: u64,
    /// Bytes of the uncompressed tar.
    pub(super) tar_size: u64,
    /// The directory gives the same tar again. If not, a form is kept.
    pub(super) reproducible: bool,
    /// Forms this layer is known to have.
    #[serde(default)]
    pub(super) forms: Vec<Form>,
}

/// One serialised form of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Form {
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) size: u64,
    pub(super) encoding: Encoding,
    /// The bytes are a blob of this store.
    pub(super) stored: bool,
    /// Repositories that have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sources: Vec<Reference>,
}

impl Form {
    /// Remembers a repository that has it.
    pub(super) fn add_source(&mut self, repository: &Reference) {
        let repository = repository.without_suffix();
        if !self.sources.contains(&repository) {
            if self.sources.len() == MAX_SOURCES {
                self.sources.remove(0);
            }
            self.sources.push(repository);
        }
    }
}

/// How a form is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// Not.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl LayerRecord {
    fn summary(&self) -> Layer {
        Layer { diff_id: self.diff_id.clone(), size: self.size, tar_size: self.tar_size }
    }

    /// Adds what is newly known of a form.
    pub(super) fn learn(&mut self, form: Form) {
        match self.forms.iter_mut().find(|known| known.digest == form.digest) {
            Some(known) => {
                known.stored |= form.stored;
                for source in &form.sources {
                    known.add_source(source);
                }
            }
            None => self.forms.push(form),
        }
    }
}

impl Store {
    /// The layer, if it is here.
    pub fn layer(&self, diff_id: &Digest) -> Option<Layer> {
        self.inner.state().layers.get(diff_id).map(LayerRecord::summary)
    }

    /// Directories for overlay's `lowerdir`, topmost first; never empty (an
    /// image without layers has one empty directory).
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`] when a layer is missing.
    pub fn lower_dirs(&self, image: &Image) -> Result<Vec<PathBuf>> {
        self.layer_dirs(&image.layers)
    }

    /// As [`Store::lower_dirs`], for layers given lowest first.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchContent`] when a layer is missing.
    pub fn layer_dirs(&self, diff_ids: &[Digest]) -> Result<Vec<PathBuf>> {
        let state = self.inner.state();
        let mut found = Vec::with_capacity(diff_ids.len().max(1));
        for diff_id in diff_ids.iter().rev() {
            if !state.layers.contains_key(diff_id) {
                return Err(Error::NoSuchContent(diff_id.clone()));
            }
            let path = self.inner.dirs.layer_diff(diff_id);
            // Overlay refuses a directory given twice (the empty layer, say).
            if !found.contains(&path) {
                found.push(path);
            }
        }
        if found.is_empty() {
            found.push(self.inner.dirs.empty());
        }
        Ok(found)
    }
}

impl Inner {
    /// If the layer is here the lease holds it from now on.
    pub(super) fn hold_if_present(&self, diff_id: &Digest, lease: &Lease) -> Option<Layer> {
        let mut state = self.state();
        let layer = state.layers.get(diff_id)?.summary();
        state.hold_layer(lease.id(), diff_id);
        Some(layer)
    }

    /// Unpacks a stream aside. Nothing stays if it fails.
    pub(super) fn unpack_aside(&self, input: impl Read + Send) -> Result<Prepared, LayerError> {
        let directory = self.dirs.ingest().map_err(io_of_store)?;
        let diff = directory.path().join("diff");
        new_directory(&diff).map_err(|source| LayerError::Io {
            action: format!("create {}", diff.display()),
            source: IoCause(source),
        })?;
        let unpacked = unpack(input, &diff)?;
        Ok(Prepared { directory, unpacked })
    }

    /// Makes a prepared layer visible and holds it.
    pub(super) fn register(
        &self,
        mut prepared: Prepared,
        reproducible: bool,
        form: Option<Form>,
        lease: &Lease,
    ) -> Result<Layer> {
        let Unpacked { diff_id, tar_size, size } = prepared.unpacked;
        let record = LayerRecord {
            diff_id: diff_id.clone(),
            size,
            tar_size,
            reproducible,
            forms: form.clone().into_iter().collect(),
        };
        let path = prepared.directory.path().join("layer.json");
        let bytes = serde_json::to_vec(&record).map_err(|e| Error::invalid("layer record", e))?;
        fs::write(&path, bytes).map_err(Error::io(format!("write layer {diff_id}")))?;
        let mut state = self.state();
        let mut broken = None;
        if !state.layers.contains_key(&diff_id) {
            let place = self.dirs.layer(&diff_id);
            // One that was there when the store was opened, and was unreadable.
            if place.exists() {
                let discarded = self.dirs.discard(&place);
                broken = Some(discarded.map_err(Error::io(format!("replace layer {diff_id}")))?);
            }
            prepared
                .directory
                .rename(&place)
                .map_err(Error::io(format!("store layer {diff_id}")))?;
            state.layers.insert(diff_id.clone(), record.clone());
        }
        state.hold_layer(lease.id(), &diff_id);
        drop(state);
        self.note_stored();
        if let Some(broken) = broken {
            broken.remove();
        }
        if let Some(form) = form {
            self.learn_form(&diff_id, form)?;
        }
        Ok(record.summary())
    }

    /// Remembers a form of a layer.
    pub(super) fn learn_form(&self, diff_id: &Digest, form: Form) -> Result<()> {
        let stored = form.stored;
        let mut writer = self.writer();
        let Some(before) = self.state().layers.get(diff_id).cloned() else { return Ok(()) };
        let mut after = before.clone();
        after.learn(form);
        if after.forms == before.forms {
            return Ok(());
        }
        if stored {
            // The layer has its name already: the blob must be there as well.
            self.flush(&mut writer)?;
        }
        let bytes = serde_json::to_vec(&after).map_err(|e| Error::invalid("layer record", e))?;
        self.dirs.write(&self.dirs.layer(diff_id).join("layer.json"), &bytes)?;
        if let Some(record) = self.state().layers.get_mut(diff_id) {
            *record = after;
        }
        Ok(())
    }

    pub(super) fn layer_record(&self, diff_id: &Digest) -> Result<LayerRecord> {
        let record = self.state().layers.get(diff_id).cloned();
        record.ok_or_else(|| Error::NoSuchContent(diff_id.clone()))
    }

    /// Writes the uncompressed tar of a layer, and checks that it is the one
    /// its name promises.
    pub(super) fn write_layer(&self, diff_id: &Digest, out: impl Write) -> Result<()> {
        let record = self.layer_record(diff_id)?;
        let failed = |source| Error::Layer { layer: diff_id.to_string(), source };
        let mut out = SumWriter::new(out);
        if record.reproducible {
            write_tar(&self.dirs.layer_diff(diff_id), &mut out).map_err(failed)?;
        } else {
            let form = record
                .forms
                .iter()
                .find(|form| form.stored)
                .ok_or_else(|| Error::NoSuchContent(diff_id.clone()))?;
            let file = self.open_blob(&form.digest)?;
            let source = |error| failed(LayerError::Source(IoCause(error)));
            let (mut plain, _) =
                decoder(io::BufReader::with_capacity(256 << 10, file)).map_err(source)?;
            io::copy(&mut plain, &mut out).map_err(source)?;
        }
        let (_, actual, _) = out.finish();
        if actual != *diff_id {
            return Err(Error::DigestMismatch {
                what: format!("layer {diff_id}"),
                expected: diff_id.clone(),
                actual,
            });
        }
        Ok(())
    }
}

/// A layer in `ingest`: `diff/` is whole, its sum is known.
pub(super) struct Prepared {
    pub(super) directory: Ingest,
    pub(super) unpacked: Unpacked,
}

/// Mode 0755, whatever the umask: it becomes the root of containers.
pub(super) fn new_directory(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn io_of_store(error: Error) -> LayerError {
    match error {
        Error::Io { action, source } => LayerError::Io { action, source },
        other => LayerError::Io {
            action: "prepare a directory".into(),
            source: IoCause(io::Error::other(other.to_string())),
        },
    }
}

/// All layers on disk. One without a readable record cannot come from a crash
/// (the record is there before the rename) and is left out.
pub(super) fn read_layers(dirs: &Dirs) -> Result<HashMap<Digest, LayerRecord>> {
    let listing = fs::read_dir(dirs.layers()).map_err(Error::io("list layers"))?;
    let mut found = HashMap::new();
    for item in listing {
        let item = item.map_err(Error::io("list layers"))?;
        let record = fs::read(item.path().join("layer.json"))
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                serde_json::from_slice::<LayerRecord>(&bytes).map_err(|error| error.to_string())
            });
        match record {
            Ok(record)
                if item.file_name().as_encoded_bytes() == record.diff_id.hex().as_bytes() =>
            {
                found.insert(record.diff_id.clone(), record);
            }
            Ok(_) => tracing::warn!(layer = ?item.file_name(), "layer under a wrong name"),
            Err(error) => tracing::warn!(layer = ?item.file_name(), error, "unreadable layer"),
        }
    }
    Ok(found)
}

/// One lock per layer being fetched, so that two pulls fetch it once.
#[derive(Default)]
pub(super) struct LayerLocks(Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>);

impl LayerLocks {
    pub(super) fn of(&self, diff_id: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(diff_id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        locks.insert(diff_id.clone(), Arc::downgrade(&lock));
        lock
    }
}
