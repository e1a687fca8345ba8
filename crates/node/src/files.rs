//! Small state files, written so that a crash leaves the old or the new one, never half.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::NodeError;

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> NodeError + 'a {
    move |source| NodeError::File { what, path: path.to_owned(), source }
}

/// Makes a directory only root can look into, with its parents.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), NodeError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// The file's bytes; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, NodeError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Puts the bytes in place of the file, durably. Only root can read them.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let temporary = path.with_extension("new");
    let put = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    };
    put().map_err(failed("write", path))
}

/// The value in a JSON file; `None` if there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NodeError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| failed("parse", path)(std::io::Error::other(error)))?;
    Ok(Some(value))
}

/// Puts a value in place of a JSON file, durably.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| failed("write", path)(std::io::Error::other(error)))?;
    write(path, &bytes)
}

/// Removes a file or directory; nothing there is fine, too.
pub(crate) fn remove(path: &Path) -> Result<(), NodeError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_and_a_missing_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), None);
        write_json(&path, &vec![1, 2]).unwrap();
        write_json(&path, &vec![3]).unwrap();
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), Some(vec![3]));
        fs::write(&path, b"half").unwrap();
        assert!(read_json::<Vec<u8>>(&path).is_err());
        remove(&path).unwrap();
        remove(&path).unwrap();
        remove(dir.path()).unwrap();
        assert!(!dir.path().exists());
    }
}
