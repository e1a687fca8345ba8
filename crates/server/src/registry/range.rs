//! Byte ranges (RFC 9110): of a blob being read, and of an upload's next part.

/// Which bytes of a blob are wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them.
    Whole,
    /// From, and how many.
    Part(u64, u64),
    /// None that exist.
    Nothing,
}

/// Reads a `Range` header for content of `size` bytes. What is not understood
/// (other units, several ranges) is ignored, as the RFC allows.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(range) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.split_once('-').filter(|_| !range.contains(',')) else {
        return Wanted::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end.saturating_add(1).min(size)),
        (Ok(start), Err(_)) if last.is_empty() => (start, size),
        (Err(_), Ok(suffix)) if first.is_empty() => (size.saturating_sub(suffix), size),
        _ => return Wanted::Whole,
    };
    if start < end { Wanted::Part(start, end - start) } else { Wanted::Nothing }
}

/// Reads the `Content-Range` of an upload's part: `START-END`, also with
/// `bytes ` in front and `/SIZE` behind. First byte and how many.
pub(super) fn part(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes").map_or(text, |rest| rest.trim_start_matches([' ', '=']));
    let text = text.split('/').next()?;
    let (start, end) = text.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    Some((start, end.checked_add(1)?.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_blob() {
        for (header, expected) in [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), Wanted::Part(0, 1)),
            (Some("bytes=2-5"), Wanted::Part(2, 4)),
            (Some("bytes=2-"), Wanted::Part(2, 8)),
            (Some("bytes=-3"), Wanted::Part(7, 3)),
            (Some("bytes=-30"), Wanted::Part(0, 10)),
            (Some("bytes=5-99"), Wanted::Part(5, 5)),
            (Some("bytes=10-"), Wanted::Nothing),
            (Some("bytes=-0"), Wanted::Nothing),
            (Some("bytes=5-2"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("lines=1-2"), Wanted::Whole),
            (Some("bytes=18446744073709551615-18446744073709551615"), Wanted::Nothing),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
    }

    #[test]
    fn ranges_of_an_upload() {
        assert_eq!(part("0-99"), Some((0, 100)));
        assert_eq!(part("bytes 100-199/*"), Some((100, 100)));
        for wrong in ["", "5", "9-5", "a-b", "0-18446744073709551615"] {
            assert_eq!(part(wrong), None, "{wrong}");
        }
    }
}
