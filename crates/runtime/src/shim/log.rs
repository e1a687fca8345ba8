//! Docker's json-file log: one JSON object per line, written as output is read.
//!
//! A line longer than [`LONGEST_LINE`] becomes several entries of which all but
//! the last lack the line feed. A line without its line feed is held back until
//! that comes, or the output ends. All lines of one read carry one time: they were
//! there at once.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use shoal_model::Timestamp;

use crate::bundle::LogConfig;

/// Docker's: longer lines are split.
const LONGEST_LINE: usize = 16 * 1024;
/// Entries are collected up to about this size before they are written.
const WRITE_SIZE: usize = 64 * 1024;
/// What each stream is called in the file, by index.
const NAMES: [&str; 2] = ["stdout", "stderr"];

/// An open log.
pub(super) struct Log {
    config: LogConfig,
    file: File,
    /// Bytes in the live file.
    size: u64,
    /// Begun lines, per stream.
    partial: [Vec<u8>; 2],
    out: Vec<u8>,
    /// Set after a failed write, so that it is complained about once.
    broken: bool,
}

impl Log {
    pub(super) fn open(config: &LogConfig) -> io::Result<Self> {
        let file = open(&config.path)?;
        let size = file.metadata()?.len();
        let partial = [Vec::new(), Vec::new()];
        Ok(Self { config: config.clone(), file, size, partial, out: Vec::new(), broken: false })
    }

    /// Takes what was read from a stream (0: output, 1: errors).
    pub(super) fn write(&mut self, which: usize, bytes: &[u8]) {
        let tail = tail(which, super::now());
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            self.line(which, line, &tail);
            rest = after;
        }
        if !rest.is_empty() {
            self.begin(which, rest, &tail);
        }
        self.write_out();
    }

    /// The stream has ended: what was held back is its last line.
    pub(super) fn end(&mut self, which: usize) {
        let partial = std::mem::take(&mut self.partial[which]);
        if !partial.is_empty() {
            entry(&partial, &tail(which, super::now()), &mut self.out);
            self.write_out();
        }
    }

    /// Both streams have ended.
    pub(super) fn finish(&mut self) {
        self.end(0);
        self.end(1);
    }

    /// A whole line, with its line feed.
    fn line(&mut self, which: usize, line: &[u8], tail: &str) {
        let partial = &mut self.partial[which];
        if partial.is_empty() && line.len() <= LONGEST_LINE {
            entry(line, tail, &mut self.out);
        } else {
            partial.extend_from_slice(line);
            let whole = std::mem::take(partial);
            for part in whole.chunks(LONGEST_LINE) {
                entry(part, tail, &mut self.out);
            }
        }
        if self.out.len() >= WRITE_SIZE {
            self.write_out();
        }
    }

    /// The beginning of a line; what exceeds the longest is written.
    fn begin(&mut self, which: usize, bytes: &[u8], tail: &str) {
        let partial = &mut self.partial[which];
        partial.extend_from_slice(bytes);
        let mut done = 0;
        while partial.len() - done > LONGEST_LINE {
            entry(&partial[done..done + LONGEST_LINE], tail, &mut self.out);
            done += LONGEST_LINE;
        }
        partial.drain(..done);
    }

    fn write_out(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let out = std::mem::take(&mut self.out);
        let result = self.rotate_and_write(&out);
        if let Err(error) = &result
            && !self.broken
        {
            let path = self.config.path.display();
            // Only once: a full disk would make this the next problem.
            let _ = writeln!(io::stderr(), "log {path}: {error}; entries are lost");
        }
        self.broken = result.is_err();
        self.out = out;
        self.out.clear();
        self.out.shrink_to(WRITE_SIZE * 2);
    }

    /// Entries are never divided between files.
    fn rotate_and_write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(limit) = self.config.max_size_bytes else {
            self.file.write_all(bytes)?;
            return Ok(());
        };
        while !bytes.is_empty() {
            let mut room = limit.saturating_sub(self.size) as usize;
            if room < bytes.len() && self.size > 0 {
                // As many whole entries as fit.
                room = bytes[..room].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
                if room == 0 {
                    self.rotate()?;
                    continue;
                }
            } else if room < bytes.len() {
                let fits = bytes[..room].iter().rposition(|&b| b == b'\n');
                // A single entry above the limit gets a file of its own.
                let first = memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
                room = fits.map_or(first, |at| at + 1);
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.file.write_all(now)?;
            self.size += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Puts a new file in the live one's place, which is kept as `.1` if more than
    /// one is. By the file being another, readers tell that there was a rotation,
    /// and read what they have open to its end.
    ///
    /// Nothing is moved before the new file is there, nor in the place of a live one
    /// that is missing (removed by hand, or left so by a rotation that failed
    /// half-way): else each further try would push older files out.
    fn rotate(&mut self) -> io::Result<()> {
        let live = &self.config.path;
        let beside = |suffix: &str| -> PathBuf {
            let mut name = live.clone().into_os_string();
            name.push(suffix);
            name.into()
        };
        let numbered = |number: u32| beside(&format!(".{number}"));
        let fresh = beside(".new");
        let file = open(&fresh)?;
        let rotated = self.config.max_files.saturating_sub(1);
        if rotated > 0 && live.try_exists()? {
            for number in (1..rotated).rev() {
                rename_if_there(&numbered(number), &numbered(number + 1))?;
            }
            rename_if_there(live, &numbered(1))?;
        }
        fs::rename(&fresh, live)?;
        self.file = file;
        self.size = 0;
        Ok(())
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Only root reads logs; appending keeps a truncation by others harmless.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// What follows the text of each entry.
fn tail(which: usize, time: Timestamp) -> String {
    let name = NAMES[which];
    format!("\",\"stream\":\"{name}\",\"time\":\"{}\"}}\n", time.rfc3339_nano())
}

fn entry(text: &[u8], tail: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(text, out);
    out.extend_from_slice(tail.as_bytes());
}

/// JSON string contents. Runs that need no escape are copied whole; bytes that are
/// no UTF-8 become U+FFFD, as Docker writes them.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        escape_valid(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape_valid(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut copied = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => {
                let (high, low) = (HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&text[copied..]);
}

fn memchr(byte: u8, text: &[u8]) -> Option<usize> {
    text.iter().position(|&one| one == byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        _dir: tempfile::TempDir,
        path: PathBuf,
        log: Log,
    }

    fn log(max_size_bytes: Option<u64>, max_files: u32) -> Case {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let config = LogConfig { path: path.clone(), max_size_bytes, max_files };
        Case { _dir: dir, log: Log::open(&config).unwrap(), path }
    }

    fn entries(path: &Path) -> Vec<(String, String)> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                value["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
                let part = |name: &str| value[name].as_str().unwrap().to_owned();
                (part("stream"), part("log"))
            })
            .collect()
    }

    #[test]
    fn lines_are_whole_however_they_are_read() {
        let mut case = log(None, 1);
        for piece in ["one\ntw", "o\n", "\n", "thr"] {
            case.log.write(0, piece.as_bytes());
        }
        case.log.write(1, b"error\n");
        case.log.write(0, b"ee");
        case.log.finish();
        let texts: Vec<_> = entries(&case.path).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["one\n", "two\n", "\n", "error\n", "three"]);
        assert_eq!(entries(&case.path)[3].0, "stderr");
    }

    #[test]
    fn awkward_bytes_come_back() {
        let mut case = log(None, 1);
        let text = "quote \" slash \\ tab \t bell \u{7} \u{1b}[1m \u{7f} é 語 🐟\n";
        case.log.write(0, text.as_bytes());
        case.log.write(0, b"not \xff utf8 \xe2\x82\n");
        assert_eq!(entries(&case.path)[0].1, text);
        assert_eq!(entries(&case.path)[1].1, "not \u{fffd} utf8 \u{fffd}\n");
    }

    #[test]
    fn long_lines_are_split_without_line_feeds() {
        let mut case = log(None, 1);
        let long = "x".repeat(LONGEST_LINE * 2 + 5) + "\n";
        for piece in long.as_bytes().chunks(1000) {
            case.log.write(0, piece);
        }
        case.log.write(0, long.as_bytes());
        let found = entries(&case.path);
        let joined: String = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(joined, long.repeat(2));
        assert!(found.iter().all(|(_, text)| text.len() <= LONGEST_LINE));
        assert_eq!(found.iter().filter(|(_, text)| text.ends_with('\n')).count(), 2);
    }

    #[test]
    fn rotation_keeps_the_newest_and_divides_no_entry() {
        let mut case = log(Some(1000), 3);
        for number in 0..200 {
            case.log.write(0, format!("line {number:04}\nsecond\n").as_bytes());
        }
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", case.path.display()));
        assert!(!numbered(3).exists());
        let mut texts = Vec::new();
        for path in [numbered(2), numbered(1), case.path.clone()] {
            assert!(fs::metadata(&path).unwrap().len() <= 1000);
            texts.extend(entries(&path).into_iter().map(|(_, text)| text));
        }
        assert_eq!(texts.last().unwrap(), "second\n");
        assert!(texts.contains(&"line 0199\n".into()));
        let numbers: Vec<_> = texts.iter().filter(|text| text.starts_with("line")).collect();
        assert!(numbers.is_sorted());
    }

    #[test]
    fn one_file_begins_anew() {
        let mut case = log(Some(200), 1);
        for _ in 0..50 {
            case.log.write(0, b"again\n");
        }
        let big = "y".repeat(500) + "\n";
        case.log.write(0, big.as_bytes());
        assert_eq!(entries(&case.path).last().unwrap().1, big);
        assert!(!PathBuf::from(format!("{}.1", case.path.display())).exists());
    }

    /// Whoever has the file open reads it to its end, and sees that there is another.
    #[test]
    fn a_reader_can_tell_that_one_file_has_begun_anew() {
        use std::{io::Read, os::unix::fs::MetadataExt};
        let mut case = log(Some(200), 1);
        case.log.write(0, b"first\n");
        let mut reader = File::open(&case.path).unwrap();
        let begin = fs::read_to_string(&case.path).unwrap();
        for _ in 0..4 {
            case.log.write(0, b"second\n");
        }
        let inode = reader.metadata().unwrap().ino();
        assert_ne!(fs::metadata(&case.path).unwrap().ino(), inode);
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert!(seen.starts_with(&begin) && seen.ends_with("}\n"), "{seen}");
        let left: Vec<_> = fs::read_dir(case.path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_rotation_that_failed_costs_no_history() {
        let mut case = log(Some(200), 3);
        let numbered = |n: u32| PathBuf::from(format!("{}.{n}", case.path.display()));
        let mut number = 0;
        let mut fill = |log: &mut Log| {
            for _ in 0..9 {
                log.write(0, format!("{number}\n").as_bytes());
                number += 1;
            }
        };
        fill(&mut case.log);
        let history = [entries(&numbered(2)), entries(&numbered(1))];
        assert!(history.iter().all(|file| !file.is_empty()));
        // Somebody tidied up by hand: the next file takes the empty place.
        fs::remove_file(&case.path).unwrap();
        while !case.path.exists() {
            case.log.write(0, b"later\n");
        }
        assert_eq!([entries(&numbered(2)), entries(&numbered(1))], history);
        // No file can be made: nothing moves, however often it is tried.
        let obstacle = PathBuf::from(format!("{}.new", case.path.display()));
        fs::create_dir(&obstacle).unwrap();
        fill(&mut case.log);
        assert_eq!([entries(&numbered(2)), entries(&numbered(1))], history);
        fs::remove_dir(&obstacle).unwrap();
        fill(&mut case.log);
        let newest = |path: &Path| entries(path).last().unwrap().1.clone();
        assert_eq!(newest(&case.path), "26\n");
        assert_ne!([entries(&numbered(2)), entries(&numbered(1))], history);
    }
}
