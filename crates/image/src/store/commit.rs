//! Directories and streams that become layers.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use shoal_model::Digest;

use super::{
    Inner, Lease, Store,
    layers::{Prepared, new_directory},
};
use crate::{
    Error, IoCause, Layer, LayerError, Result,
    layer::{Unpacked, channel, sum_of, unpack, write_tar},
};

impl Store {
    /// Makes a layer of an overlay upper directory by moving it into the
    /// store; the lease holds it. The directory must be on the store's file
    /// system ([`Store::scratch`]) and in no mount; its own mode becomes that
    /// of the container's `/`.
    ///
    /// # Errors
    /// [`crate::Error::Layer`]; the directory is then still where it was.
    pub fn commit_layer(&self, upper: &Path, lease: &Lease) -> Result<Layer> {
        let unpacked = sum_directory(upper).map_err(new_layer)?;
        if let Some(layer) = self.inner.hold_if_present(&unpacked.diff_id, lease) {
            self.inner
                .dirs
                .discard(upper)
                .map_err(Error::io(format!("remove {}", upper.display())))?
                .remove();
            return Ok(layer);
        }
        let directory = self.inner.dirs.ingest()?;
        fs::rename(upper, directory.path().join("diff")).map_err(|source| {
            new_layer(LayerError::Io {
                action: format!("move {} into the store", upper.display()),
                source: IoCause(source),
            })
        })?;
        self.inner.register(Prepared { directory, unpacked }, true, None, lease)
    }

    /// Makes a layer of an overlay upper directory that stays in use
    /// (`docker commit`), by copying.
    ///
    /// # Errors
    /// [`crate::Error::Layer`].
    pub fn copy_layer(&self, upper: &Path, lease: &Lease) -> Result<Layer> {
        self.inner
            .copy_aside(upper)
            .and_then(|prepared| self.inner.register(prepared, true, None, lease))
    }

    /// Makes a layer of a tar stream (also gzip, zstd); the lease holds it.
    /// Its diff id is that of the tar this store writes, which may differ from
    /// the stream's in order and in headers.
    ///
    /// # Errors
    /// [`crate::Error::Layer`].
    pub fn put_layer(&self, input: impl Read + Send, lease: &Lease) -> Result<Layer> {
        let mut prepared = self.inner.unpack_aside(input).map_err(new_layer)?;
        prepared.unpacked =
            sum_directory(&prepared.directory.path().join("diff")).map_err(new_layer)?;
        self.inner.register(prepared, true, None, lease)
    }
}

impl Inner {
    fn copy_aside(&self, upper: &Path) -> Result<Prepared> {
        let directory = self.dirs.ingest()?;
        let diff = directory.path().join("diff");
        new_directory(&diff).map_err(Error::io(format!("create {}", diff.display())))?;
        let unpacked = std::thread::scope(|scope| {
            let (mut writer, reader) = channel();
            let writing = scope.spawn(move || match write_tar(upper, &mut writer) {
                Ok(_) => writer.finish().map_err(broken),
                Err(error) => {
                    writer.fail(io::ErrorKind::UnexpectedEof.into());
                    Err(error)
                }
            });
            let unpacked = unpack(reader, &diff);
            let written = writing.join().unwrap_or_else(|_| Err(died()));
            match (written, unpacked) {
                (_, Ok(unpacked)) => Ok(unpacked),
                // Whoever failed first made the other fail as well.
                (Err(LayerError::Source(_)), Err(error)) | (Ok(()), Err(error)) => Err(error),
                (Err(error), Err(_)) => Err(error),
            }
        });
        Ok(Prepared { directory, unpacked: unpacked.map_err(new_layer)? })
    }
}

/// The tar of a directory is not kept, only its sum.
fn sum_directory(directory: &Path) -> Result<Unpacked, LayerError> {
    std::thread::scope(|scope| {
        let (mut writer, reader) = channel();
        let summing = scope.spawn(move || sum_of(reader));
        let size = write_tar(directory, &mut writer)?;
        writer.finish().map_err(broken)?;
        let summed: (Digest, u64) = summing
            .join()
            .map_err(|_| died())?
            .map_err(|error| LayerError::Source(error.into()))?;
        Ok(Unpacked { diff_id: summed.0, tar_size: summed.1, size })
    })
}

fn broken(error: io::Error) -> LayerError {
    LayerError::Source(error.into())
}

fn died() -> LayerError {
    LayerError::Source(io::Error::other("a thread of the commit died").into())
}

fn new_layer(source: LayerError) -> Error {
    Error::Layer { layer: "of new content".into(), source }
}
