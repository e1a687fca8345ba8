//! From bytes to logical lines: byte order mark, line ends, comments,
//! continuations and the contents of here-documents.

use super::command::Heredoc;
use super::directive::{Directive, Directives};
use super::error::ParseError;
use super::heredoc;

/// The longest line Docker reads; a longer one is not a Dockerfile.
const MAX_LINE_BYTES: usize = 65_535;

/// The largest file read. Docker has no limit; a file this size is a mistake,
/// and it is held in memory.
pub const MAX_DOCKERFILE_BYTES: usize = 8 * 1024 * 1024;

/// An instruction on one line.
#[derive(Debug)]
pub(crate) struct LogicalLine {
    pub(crate) line: usize,
    pub(crate) end_line: usize,
    pub(crate) text: String,
    pub(crate) heredocs: Vec<Heredoc>,
}

/// The file without comments and line ends.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) directives: Vec<Directive>,
    pub(crate) escape: char,
    pub(crate) lines: Vec<LogicalLine>,
    /// Lines on which an instruction has an empty continuation line.
    pub(crate) empty_continuations: Vec<usize>,
}

/// Splits a file into logical lines.
pub(crate) fn read(bytes: &[u8]) -> Result<Lines, ParseError> {
    if bytes.len() > MAX_DOCKERFILE_BYTES {
        let message = format!("dockerfile greater than max allowed size of {MAX_DOCKERFILE_BYTES}");
        return Err(ParseError::new(1, message));
    }
    let mut reader = Reader { physical: physical_lines(bytes)?, next: 0 };
    let mut directives = Directives::new();
    let mut lines = Vec::new();
    let mut empty_continuations = Vec::new();
    while let Some(raw) = reader.next() {
        let start = reader.next;
        let first = raw.trim_start();
        directives.read(first, start).map_err(|message| ParseError::new(start, message))?;
        if first.starts_with('#') || first.is_empty() {
            continue;
        }
        let (text, has_empty) = join(first, &mut reader, directives.escape);
        if has_empty {
            empty_continuations.push(start);
        }
        let text = text.trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let heredocs = contents(&text, &mut reader, directives.escape, start)?;
        lines.push(LogicalLine { line: start, end_line: reader.next, text, heredocs });
    }
    let Directives { found, escape, .. } = directives;
    Ok(Lines { directives: found, escape, lines, empty_continuations })
}

struct Reader<'a> {
    physical: Vec<&'a str>,
    /// Index of the next line, which is the number (from 1) of the last read.
    next: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.physical.get(self.next).copied()?;
        self.next += 1;
        Some(line)
    }
}

fn physical_lines(bytes: &[u8]) -> Result<Vec<&str>, ParseError> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut lines = Vec::new();
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_LINE_BYTES {
            let message =
                format!("dockerfile line greater than max allowed size of {MAX_LINE_BYTES}");
            return Err(ParseError::new(index + 1, message));
        }
        match str::from_utf8(line) {
            Ok(text) => lines.push(text),
            // Comments of old files are in all sorts of encodings.
            Err(_) if line.trim_ascii_start().starts_with(b"#") => lines.push("#"),
            Err(_) => return Err(ParseError::new(index + 1, "the line is not valid UTF-8")),
        }
    }
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    Ok(lines)
}

/// Joins a line with those it continues on, and says whether one was empty.
fn join(first: &str, reader: &mut Reader<'_>, escape: char) -> (String, bool) {
    let mut has_empty = false;
    let (head, mut continues) = strip_continuation(first, escape);
    let mut text = head.to_owned();
    while continues {
        let Some(raw) = reader.next() else { break };
        let trimmed = raw.trim_start();
        if trimmed.starts_with('#') {
            continue;
        }
        if trimmed.is_empty() {
            has_empty = true;
            continue;
        }
        let (part, more) = strip_continuation(raw, escape);
        text.push_str(part);
        continues = more;
    }
    (text, has_empty)
}

/// Removes the escape character at the end of a line, if a line goes on after
/// it. A doubled one is an escaped escape character and ends the line.
pub(crate) fn strip_continuation(line: &str, escape: char) -> (&str, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(head) if !head.ends_with(escape) => (head, true),
        _ => (line, false),
    }
}

/// Reads the contents of the here-documents an instruction opens.
fn contents(
    text: &str,
    reader: &mut Reader<'_>,
    escape: char,
    start: usize,
) -> Result<Vec<Heredoc>, ParseError> {
    if !takes_heredocs(text) {
        return Ok(Vec::new());
    }
    let mut heredocs = heredoc::opened_by(text, escape);
    for doc in &mut heredocs {
        loop {
            let Some(line) = reader.next() else {
                return Err(ParseError::new(start, "unterminated heredoc"));
            };
            let candidate = if doc.strip_tabs { line.trim_start_matches('\t') } else { line };
            if candidate == doc.name {
                break;
            }
            doc.content.push_str(line);
            doc.content.push('\n');
        }
    }
    Ok(heredocs)
}

fn takes_heredocs(text: &str) -> bool {
    let mut words = text.split_whitespace().map(str::to_ascii_uppercase);
    let mut word = words.next();
    if word.as_deref() == Some("ONBUILD") {
        word = words.next();
    }
    matches!(word.as_deref(), Some("RUN" | "COPY" | "ADD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        read(source.as_bytes()).unwrap().lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn continuations_keep_inner_blanks_and_drop_comments() {
        assert_eq!(texts("RUN a \\\n  b \\\t \n # no\n\n c\nRUN d"), ["RUN a   b  c", "RUN d"]);
        assert_eq!(texts("RUN a \\\\\nRUN b"), ["RUN a \\\\", "RUN b"]);
        assert_eq!(texts("RUN a \\"), ["RUN a"]);
        assert_eq!(texts("# escape=`\nRUN a `\nb \\\nRUN c"), ["RUN a b \\", "RUN c"]);
    }

    #[test]
    fn marks_and_line_ends_are_no_content() {
        let lines = read(b"\xef\xbb\xbfFROM a\r\nRUN <<E\r\nx\r\nE\r\n").unwrap().lines;
        assert_eq!(lines[0].text, "FROM a");
        assert_eq!(lines[1].heredocs[0].content, "x\n");
        assert_eq!((lines[1].line, lines[1].end_line), (2, 4));
    }

    #[test]
    fn several_documents_in_order() {
        let lines = read(b"COPY <<A <<-B /x/\n1\nA\n\t2\n\tB\nRUN x").unwrap().lines;
        let docs = &lines[0].heredocs;
        assert_eq!((docs[0].content.as_str(), docs[1].content.as_str()), ("1\n", "\t2\n"));
        assert_eq!(docs[1].text(), "2\n");
        assert_eq!(lines[1].text, "RUN x");
    }

    #[test]
    fn what_cannot_be_read_names_its_line() {
        assert_eq!(read(b"FROM a\n\nRUN <<E\nx\n").unwrap_err().line, 3);
        assert_eq!(read(b"FROM a\nRUN \xff\n").unwrap_err().line, 2);
        assert!(read(b"# J\xfcrgen\nFROM a\n").is_ok());
        let long = format!("FROM a\nRUN {}", "x".repeat(MAX_LINE_BYTES));
        assert_eq!(read(long.as_bytes()).unwrap_err().line, 2);
    }
}
