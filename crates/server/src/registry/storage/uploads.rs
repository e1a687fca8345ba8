//! Blobs on their way in.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use sha2::{Digest as _, Sha256};
use shoal_model::Digest;

use super::Storage;
use crate::registry::route::Name;

/// Uploads at a time. Each costs a file; a client uses a handful.
const MAX_UPLOADS: usize = 1024;
/// Bytes read at once where an upload is summed again.
const BUFFER: usize = 256 << 10;
/// Characters of an upload's id: 128 random bits, so that nobody guesses it.
const ID_LENGTH: usize = 32;

/// One upload: its bytes on disk, their sum so far.
pub(in crate::registry) struct Upload {
    path: PathBuf,
    file: File,
    size: u64,
    sum: Sha256,
}

impl Upload {
    /// Bytes received.
    pub(in crate::registry) fn size(&self) -> u64 {
        self.size
    }

    /// Adds bytes at the end.
    pub(in crate::registry) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.sum.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn new(path: PathBuf) -> io::Result<Self> {
        let file = File::options().append(true).create_new(true).open(&path)?;
        Ok(Self { path, file, size: 0, sum: Sha256::new() })
    }

    /// An upload that was under way when the registry stopped.
    fn resume(path: PathBuf) -> io::Result<Self> {
        let mut upload = {
            let file = File::options().append(true).read(true).open(&path)?;
            Self { path, file, size: 0, sum: Sha256::new() }
        };
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = upload.file.read(&mut buffer)?;
            if length == 0 {
                return Ok(upload);
            }
            upload.sum.update(&buffer[..length]);
            upload.size += length as u64;
        }
    }
}

impl Storage {
    /// Begins an upload under a fresh id; `None` if there are too many.
    pub(in crate::registry) fn begin_upload(
        &self,
        name: &Name,
    ) -> io::Result<Option<(String, Arc<tokio::sync::Mutex<Upload>>)>> {
        let mut random = [0; ID_LENGTH / 2];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.len() >= MAX_UPLOADS {
            uploads.retain(|_, upload| !Self::give_up_stale(upload));
        }
        if uploads.len() >= MAX_UPLOADS {
            return Ok(None);
        }
        let upload = Upload::new(self.upload(&file_name(name, &id)))?;
        let upload = Arc::new(tokio::sync::Mutex::new(upload));
        uploads.insert(file_name(name, &id), upload.clone());
        Ok(Some((id, upload)))
    }

    /// Removes an upload that nobody works on or has touched for long; whether it did.
    fn give_up_stale(upload: &Arc<tokio::sync::Mutex<Upload>>) -> bool {
        let Ok(upload) = upload.try_lock() else { return false };
        let stale = upload.file.metadata().and_then(|file| super::is_given_up(&file));
        stale.unwrap_or(false) && super::remove(&upload.path).is_ok()
    }

    /// The upload of that id in that repository.
    pub(in crate::registry) fn find_upload(
        &self,
        name: &Name,
        id: &str,
    ) -> io::Result<Option<Arc<tokio::sync::Mutex<Upload>>>> {
        if id.len() != ID_LENGTH || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let key = file_name(name, id);
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upload) = uploads.get(&key) {
            return Ok(Some(upload.clone()));
        }
        match Upload::resume(self.upload(&key)) {
            Ok(upload) => {
                let upload = Arc::new(tokio::sync::Mutex::new(upload));
                uploads.insert(key, upload.clone());
                Ok(Some(upload))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the upload a blob of the repository if its sum is right; says
    /// whether it was. The upload is gone either way.
    pub(in crate::registry) fn finish_upload(
        &self,
        name: &Name,
        id: &str,
        upload: &mut Upload,
        expected: &Digest,
    ) -> io::Result<bool> {
        let right = Digest::sha256(upload.sum.clone().finalize().into()) == *expected;
        if right {
            upload.file.sync_data()?;
            let blob = self.blob(expected);
            if let Some(parent) = blob.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(&upload.path, blob)?;
            self.link_blob(name, expected)?;
        }
        self.forget_upload(name, id)?;
        Ok(right)
    }

    /// Gives an upload up.
    pub(in crate::registry) fn forget_upload(&self, name: &Name, id: &str) -> io::Result<()> {
        let key = file_name(name, id);
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        super::remove(&self.upload(&key)).map(drop)
    }
}

/// An id is good in its own repository only.
fn file_name(name: &Name, id: &str) -> String {
    let sum = Digest::sha256(Sha256::digest(name.as_str()).into());
    format!("{id}-{}", sum.short())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::UPLOAD_LIFE;
    use super::*;

    #[test]
    fn only_what_nobody_has_touched_for_long_is_given_up() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::open(root.path()).unwrap();
        let name: Name = "a".parse().unwrap();
        let begin = || storage.begin_upload(&name).unwrap().unwrap().1;
        let (fresh, busy, idle) = (begin(), begin(), begin());
        let long_ago = SystemTime::now() - 2 * UPLOAD_LIFE;
        for upload in [&busy, &idle] {
            upload.try_lock().unwrap().file.set_modified(long_ago).unwrap();
        }
        let _working = busy.try_lock().unwrap();
        assert_eq!(
            [fresh, busy.clone(), idle].map(|one| Storage::give_up_stale(&one)),
            [false, false, true]
        );
        assert_eq!(fs::read_dir(root.path().join("uploads")).unwrap().count(), 2);
    }
}
