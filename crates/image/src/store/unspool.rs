//! From spooled members to layers and an image.

use std::{collections::HashSet, fs::File, io::Read, sync::Arc};

use shoal_model::{Digest, Platform, Reference};

use super::{
    super::{
        Inner, Lease,
        blobs::Blob,
        layers::{Encoding, Form},
        put::{NewImage, parse_config},
    },
    Archive, Wanted,
};
use crate::{
    Error, Image, IoCause, LayerError, LayerState, Progress, ProgressSink, Result,
    layer::{Compression, sniff},
};

/// Layers unpacked at a time; each keeps two cores busy.
const PARALLEL_LAYERS: usize = 3;
/// Bytes between two events.
const TELL_STEP: u64 = 4 << 20;

impl Archive {
    pub(super) fn load(
        &self,
        store: &Arc<Inner>,
        wanted: &Wanted,
        lease: &Lease,
        progress: &ProgressSink,
    ) -> Result<Image> {
        let document = self.document(&wanted.config)?;
        let config = parse_config(&document)?;
        let system = config.platform().os;
        if system != Platform::host().os {
            let reason = format!("cannot load {system} image on {}", Platform::host().os);
            return Err(Error::invalid(wanted.config.clone(), reason));
        }
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != wanted.layers.len() {
            let reason = format!(
                "invalid manifest, layers length mismatch: expected {}, got {}",
                diff_ids.len(),
                wanted.layers.len()
            );
            return Err(Error::invalid("manifest.json", reason));
        }
        let mut seen = HashSet::new();
        let missing: Vec<(&Digest, &String)> = diff_ids
            .iter()
            .zip(&wanted.layers)
            .filter(|(diff_id, _)| seen.insert(*diff_id))
            .filter(|(diff_id, _)| store.hold_if_present(diff_id, lease).is_none())
            .collect();
        for group in missing.chunks(PARALLEL_LAYERS) {
            std::thread::scope(|scope| {
                let work: Vec<_> = group
                    .iter()
                    .map(|(diff_id, path)| {
                        scope.spawn(|| self.load_layer(store, diff_id, path, lease, progress))
                    })
                    .collect();
                work.into_iter().try_for_each(|thread| {
                    thread.join().unwrap_or_else(|_| Err(Error::Cancelled("load".into())))
                })
            })?;
        }
        let new = NewImage { tags: &wanted.names, ..NewImage::default() };
        let before: Vec<(&Reference, Digest)> = {
            let index = &store.state().index;
            let known = |name| index.named(name).map(|id| (name, id.clone()));
            wanted.names.iter().filter_map(known).collect()
        };
        let image = store.put_image(&document, &new, lease)?;
        for (name, old) in before.iter().filter(|(_, old)| *old != image.id) {
            progress(Progress::Loaded(format!(
                "The image {} already exists, renaming the old one with ID {old} to empty string",
                name.familiar()
            )));
        }
        if wanted.names.is_empty() {
            progress(Progress::Loaded(format!("Loaded image ID: {}", image.id)));
        }
        for name in &wanted.names {
            progress(Progress::Loaded(format!("Loaded image: {}", name.familiar())));
        }
        Ok(image)
    }

    fn load_layer(
        &self,
        store: &Arc<Inner>,
        diff_id: &Digest,
        path: &str,
        lease: &Lease,
        progress: &ProgressSink,
    ) -> Result<()> {
        let failed = |source| Error::Layer { layer: diff_id.to_string(), source };
        let member = self.file(path)?;
        let total = member.size;
        let tell = |current| {
            progress(Progress::Layer {
                id: diff_id.short().into(),
                state: LayerState::LoadingLayer,
                current,
                total,
            });
        };
        let mut file = self.open(path)?;
        let encoding = encoding_of(&mut file).map_err(failed)?;
        let counted = Counted { input: file, done: 0, told: 0, tell };
        let prepared = store.unpack_aside(counted).map_err(failed)?;
        if prepared.unpacked.diff_id != *diff_id {
            return Err(Error::DigestMismatch {
                what: format!("layer {path}"),
                expected: diff_id.clone(),
                actual: prepared.unpacked.diff_id.clone(),
            });
        }
        let (digest, size) = store.keep_member(member, lease)?;
        let form = Form { digest, size, encoding, stored: true, sources: Vec::new() };
        store.register(prepared, false, Some(form), lease).map(drop)
    }
}

impl Inner {
    /// Names a spooled member by its digest, without copying it.
    fn keep_member(&self, member: &Blob, lease: &Lease) -> Result<(Digest, u64)> {
        let digest = member.digest.clone();
        let mut state = self.state();
        let is_new = match std::fs::hard_link(member.path(), self.dirs.blob(&digest)) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(Error::io(format!("store blob {digest}"))(error)),
        };
        state.hold_blob(lease.id(), &digest);
        drop(state);
        if is_new {
            self.note_stored();
        }
        Ok((digest, member.size))
    }
}

fn encoding_of(file: &mut File) -> Result<Encoding, LayerError> {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 6];
    let source = |error| LayerError::Source(IoCause(error));
    let length = file.read_at(&mut start, 0).map_err(source)?;
    sniff(&start[..length]).map(Encoding::from).map_err(source)
}

impl From<Compression> for Encoding {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::Plain,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

/// Tells how far the reading is, now and then.
struct Counted<R, F> {
    input: R,
    done: u64,
    told: u64,
    tell: F,
}

impl<R: Read, F: Fn(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.done += length as u64;
        if length == 0 || self.done - self.told >= TELL_STEP {
            self.told = self.done;
            (self.tell)(self.done);
        }
        Ok(length)
    }
}
