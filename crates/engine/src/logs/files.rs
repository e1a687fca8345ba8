//! The files of one log: `path` (live), `path.1` (the one before) and so on.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes read at a time when looking backwards for line ends.
const BACKWARD_BYTES: usize = 64 * 1024;

/// An open log file and its identity.
#[derive(Debug)]
pub(super) struct LogFile {
    pub(super) file: File,
    inode: (u64, u64),
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                let metadata = file.metadata()?;
                Ok(Some(LogFile { file, inode: (metadata.dev(), metadata.ino()) }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Where to begin so that `tail` lines follow (`None` is all of them): the file and
/// the offset in it. `None` if there is no file yet.
pub(super) fn begin(path: &Path, tail: Option<usize>) -> io::Result<Option<(LogFile, u64)>> {
    let mut found: Option<(LogFile, u64)> = None;
    let mut missing = tail.unwrap_or(usize::MAX);
    for file in newest_first(path) {
        let file = file?;
        // Rotated between the two openings: the same file under its next name.
        if found.as_ref().is_some_and(|(newer, _)| newer.inode == file.inode) {
            continue;
        }
        let (offset, lines) = match tail {
            None => (0, 0),
            Some(_) => last_lines(&file.file, missing)?,
        };
        missing = missing.saturating_sub(lines);
        found = Some((file, offset));
        if tail.is_some() && missing == 0 {
            break;
        }
    }
    Ok(found)
}

/// The file that was begun after `current`; `None` while `current` is the live one.
pub(super) fn next(path: &Path, current: Option<&LogFile>) -> io::Result<Option<LogFile>> {
    let mut newer: Option<LogFile> = None;
    for file in newest_first(path) {
        let file = file?;
        if current.is_some_and(|current| current.inode == file.inode) {
            return Ok(newer);
        }
        newer = Some(file);
    }
    // `current` was rotated away altogether, or there was none: the oldest comes next.
    Ok(newer)
}

/// The log's files, the live one first.
///
/// A rotation renames from the oldest on, so that at any moment one name may
/// be missing in the middle: only two missing in a row are the end. Newest
/// first, because a rotation meanwhile then shows a file twice, never hides one.
fn newest_first(path: &Path) -> impl Iterator<Item = io::Result<LogFile>> {
    let mut missing = false;
    (0..)
        .map(move |index| LogFile::open(&numbered(path, index)).transpose())
        .take_while(move |file| {
            let end = missing && file.is_none();
            missing = file.is_none();
            !end
        })
        .flatten()
}

fn numbered(path: &Path, index: u32) -> PathBuf {
    if index == 0 {
        return path.into();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{index}"));
    name.into()
}

/// Offset of the `wanted`th line from the end, and how many lines there are from
/// there on (fewer than wanted if the file has no more).
fn last_lines(file: &File, wanted: usize) -> io::Result<(u64, usize)> {
    let length = file.metadata()?.len();
    if wanted == 0 {
        return Ok((length, 0));
    }
    let mut end = length;
    let mut lines = 0;
    let mut buffer = vec![0; BACKWARD_BYTES];
    while end > 0 {
        let begin = end.saturating_sub(BACKWARD_BYTES as u64);
        let part = &mut buffer[..(end - begin) as usize];
        file.read_exact_at(part, begin)?;
        for (index, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = begin + index as u64 + 1;
            // The line end at the very end closes the last line; it begins none.
            if after == length {
                continue;
            }
            lines += 1;
            if lines == wanted {
                return Ok((after, lines));
            }
        }
        end = begin;
    }
    Ok((0, if length > 0 { lines + 1 } else { 0 }))
}

/// Whether the file at `path` is still `file`.
pub(super) fn is_live(path: &Path, file: &LogFile) -> bool {
    fs::metadata(path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == file.inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(text: &str, wanted: usize) -> (u64, usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, text).unwrap();
        last_lines(&File::open(path).unwrap(), wanted).unwrap()
    }

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        assert_eq!(tail_of("a\nb\nc\n", 1), (4, 1));
        assert_eq!(tail_of("a\nb\nc\n", 2), (2, 2));
        assert_eq!(tail_of("a\nb\nc\n", 3), (0, 3));
        assert_eq!(tail_of("a\nb\nc\n", 9), (0, 3));
        assert_eq!(tail_of("a\nb", 1), (2, 1));
        assert_eq!(tail_of("a\nb\n", 0), (4, 0));
        assert_eq!(tail_of("", 5), (0, 0));
        let long = format!("{}\n{}\n", "x".repeat(BACKWARD_BYTES), "y".repeat(BACKWARD_BYTES));
        assert_eq!(tail_of(&long, 1), (BACKWARD_BYTES as u64 + 1, 1));
    }

    #[test]
    fn a_name_missing_in_the_middle_of_a_rotation_hides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for (name, text) in [("log.1", "newer"), ("log.3", "oldest")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (oldest, offset) = begin(&path, None).unwrap().unwrap();
        assert_eq!(offset, 0);
        assert_eq!(oldest.inode, LogFile::open(&numbered(&path, 3)).unwrap().unwrap().inode);
        let newer = next(&path, Some(&oldest)).unwrap().unwrap();
        assert_eq!(newer.inode, LogFile::open(&numbered(&path, 1)).unwrap().unwrap().inode);
    }

    #[test]
    fn a_tail_reaches_into_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "e\n").unwrap();
        fs::write(numbered(&path, 1), "c\nd\n").unwrap();
        fs::write(numbered(&path, 2), "a\nb\n").unwrap();
        let at = |tail| {
            let (file, offset) = begin(&path, tail).unwrap().unwrap();
            let mut byte = [0];
            file.file.read_exact_at(&mut byte, offset).unwrap();
            byte[0] as char
        };
        assert_eq!(at(None), 'a');
        assert_eq!((at(Some(1)), at(Some(2)), at(Some(3)), at(Some(4))), ('e', 'd', 'c', 'b'));
        assert_eq!(at(Some(99)), 'a');
        assert!(begin(&dir.path().join("none"), None).unwrap().is_none());
    }

    #[test]
    fn the_next_file_is_the_one_begun_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "1").unwrap();
        let first = LogFile::open(&path).unwrap().unwrap();
        assert!(next(&path, Some(&first)).unwrap().is_none());
        assert!(is_live(&path, &first));
        fs::rename(&path, numbered(&path, 1)).unwrap();
        fs::write(&path, "2").unwrap();
        assert!(!is_live(&path, &first));
        let second = next(&path, Some(&first)).unwrap().unwrap();
        assert!(is_live(&path, &second));
        // Rotated away altogether: the oldest left.
        fs::remove_file(numbered(&path, 1)).unwrap();
        let next = next(&path, Some(&first)).unwrap().unwrap();
        assert_eq!(next.inode, second.inode);
    }
}
