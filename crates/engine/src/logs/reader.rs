//! Reads a log in batches, over rotations. Blocks.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::entry::decode;
use super::files::{self, LogFile};
use crate::stream::LogEntry;

/// Bytes read at a time: a batch is at most what these decode to.
const READ_BYTES: usize = 64 * 1024;
/// Longest line kept while its end is not there yet; the shim cuts at 16 KiB, which
/// escapes can make six times as long.
const LINE_MAX_BYTES: usize = 1024 * 1024;

/// A place in a log.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    current: Option<LogFile>,
    offset: u64,
    /// Bytes of a line whose end was not there yet.
    rest: Vec<u8>,
}

/// What one read gave.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Entries in order.
    pub(crate) entries: Vec<LogEntry>,
    /// Whether there was nothing more at that moment.
    pub(crate) at_end: bool,
}

impl Reader {
    /// A reader that will give the last `tail` lines first.
    pub(crate) fn open(path: PathBuf, tail: Option<usize>) -> io::Result<Self> {
        let begin = files::begin(&path, tail)?;
        let (current, offset) = begin.map_or((None, 0), |(file, offset)| (Some(file), offset));
        Ok(Reader { path, current, offset, rest: Vec::new() })
    }

    /// The next entries.
    pub(crate) fn read(&mut self) -> io::Result<Batch> {
        let Some(current) = &self.current else {
            self.current = files::next(&self.path, None)?;
            return Ok(Batch { at_end: self.current.is_none(), ..Batch::default() });
        };
        // Asked before reading: what was written before a rotation is read first.
        let live = files::is_live(&self.path, current);
        let mut buffer = std::mem::take(&mut self.rest);
        let kept = buffer.len();
        buffer.resize(kept + READ_BYTES, 0);
        let count = read_at(current, &mut buffer[kept..], self.offset)?;
        buffer.truncate(kept + count);
        self.offset += count as u64;
        let entries = self.decode_lines(buffer);
        if count > 0 {
            return Ok(Batch { entries, at_end: false });
        }
        if !live && let Some(next) = files::next(&self.path, self.current.as_ref())? {
            self.current = Some(next);
            self.offset = 0;
            self.rest.clear();
            return Ok(Batch { entries, at_end: false });
        }
        if self.was_cut()? {
            self.offset = 0;
            self.rest.clear();
            return Ok(Batch { entries, at_end: false });
        }
        Ok(Batch { entries, at_end: true })
    }

    /// Whether the file was emptied, and is being written from its begin: what was read of it
    /// is no longer there.
    fn was_cut(&self) -> io::Result<bool> {
        let Some(current) = &self.current else { return Ok(false) };
        Ok(current.file.metadata()?.len() < self.offset)
    }

    fn decode_lines(&mut self, mut buffer: Vec<u8>) -> Vec<LogEntry> {
        let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else {
            if buffer.len() <= LINE_MAX_BYTES {
                self.rest = buffer;
            }
            return Vec::new();
        };
        let entries = buffer[..end].split(|byte| *byte == b'\n').filter_map(decode).collect();
        buffer.drain(..=end);
        buffer.shrink_to_fit();
        self.rest = buffer;
        entries
    }
}

fn read_at(file: &LogFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;

    fn line(text: &str) -> String {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    }

    fn all(reader: &mut Reader) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let batch = reader.read().unwrap();
            let text =
                |entry: &LogEntry| String::from_utf8_lossy(entry.data.trim_ascii()).into_owned();
            texts.extend(batch.entries.iter().map(text));
            if batch.at_end {
                return texts;
            }
        }
    }

    #[test]
    fn lines_that_come_in_pieces_and_over_rotations_are_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut reader = Reader::open(path.clone(), None).unwrap();
        assert_eq!(all(&mut reader), Vec::<String>::new());

        fs::write(&path, line("one") + &line("two")[..20]).unwrap();
        assert_eq!(all(&mut reader), ["one"]);
        let append = |text: &str| {
            OpenOptions::new()
                .append(true)
                .open(&path)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        };
        append(&line("two")[20..]);
        assert_eq!(all(&mut reader), ["two"]);

        append(&line("three"));
        fs::rename(&path, dir.path().join("log.1")).unwrap();
        fs::write(&path, line("four")).unwrap();
        assert_eq!(all(&mut reader), ["three", "four"]);
    }

    #[test]
    fn a_file_that_was_emptied_is_read_from_its_begin() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        // The last line is half written.
        fs::write(&path, line("one") + &line("two") + &line("three")[..20]).unwrap();
        let mut reader = Reader::open(path.clone(), None).unwrap();
        assert_eq!(all(&mut reader), ["one", "two"]);
        fs::write(&path, line("four")).unwrap();
        assert_eq!(all(&mut reader), ["four"]);
        fs::write(&path, "").unwrap();
        assert_eq!(all(&mut reader), Vec::<String>::new());
        fs::write(&path, line("five")).unwrap();
        assert_eq!(all(&mut reader), ["five"]);
    }

    #[test]
    fn rubbish_between_lines_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, format!("{}\0\0\0\n{}", line("one"), line("two"))).unwrap();
        assert_eq!(all(&mut Reader::open(path.clone(), None).unwrap()), ["one", "two"]);
        assert_eq!(all(&mut Reader::open(path, Some(1)).unwrap()), ["two"]);
    }
}
