//! One line of a json-file log. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use shoal_model::Timestamp;

use crate::stream::{LogEntry, OutputStream};

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// The entry a line stands for; `None` for a line that is none (after a crash of the
/// machine a file may end in rubbish).
pub(super) fn decode(line: &[u8]) -> Option<LogEntry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let stream = match line.stream.as_ref() {
        "stdout" => OutputStream::Stdout,
        "stderr" => OutputStream::Stderr,
        _ => return None,
    };
    let time = Timestamp::parse(&line.time).ok()?;
    Some(LogEntry { time, stream, data: Bytes::from(line.log.into_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_docker_are_read() {
        let line = br#"{"log":"a \"b\"\n","stream":"stderr","time":"2026-01-02T03:04:05.6Z"}"#;
        let entry = decode(line).unwrap();
        assert_eq!(entry.stream, OutputStream::Stderr);
        assert_eq!(&entry.data[..], b"a \"b\"\n");
        assert_eq!(entry.time, Timestamp::parse("2026-01-02T03:04:05.6Z").unwrap());
    }

    #[test]
    fn rubbish_is_no_entry() {
        for line in [&b""[..], b"{}", b"\0\0\0", br#"{"log":"x","stream":"s","time":"t"}"#] {
            assert_eq!(decode(line), None);
        }
    }
}
