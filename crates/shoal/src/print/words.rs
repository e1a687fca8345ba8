//! Times, sizes and ids in docker's words.

use std::time::Duration;

use serde_json::Value;
use shoal_model::Timestamp;

/// "3 minutes", as docker says it.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (duration.as_secs_f64() / 3600.0).round() as u64);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// "3 minutes ago", for a time in any of Docker's forms; nothing for no time.
pub(crate) fn ago(time: &Value, now: Timestamp) -> String {
    let then = match time {
        Value::Number(seconds) => seconds.as_i64().map(Timestamp::from_seconds),
        Value::String(text) => Timestamp::parse(text).ok(),
        _ => None,
    };
    match then.filter(|then| then.seconds() > 0) {
        Some(then) => format!("{} ago", duration(now.since(then))),
        None => String::new(),
    }
}

/// Seconds since the epoch as docker prints them, `2026-11-21 04:05:06 +0000
/// UTC`, whatever the machine's time zone.
pub(crate) fn created_at(seconds: &Value) -> String {
    let time = Timestamp::from_seconds(seconds.as_i64().unwrap_or_default()).rfc3339_nano();
    format!("{} +0000 UTC", time.trim_end_matches('Z').replace('T', " "))
}

/// The first 12 characters of an id, without its algorithm.
pub(crate) fn short(id: &str) -> String {
    let id = id.split_once(':').map_or(id, |(_, hex)| hex);
    id.chars().take(12).collect()
}

/// A size in powers of 1,024 with at most four digits, as docker shows memory.
pub(crate) fn binary_size(bytes: u64) -> String {
    let (mut size, mut units) = (bytes as f64, ["B", "KiB", "MiB", "GiB", "TiB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    let whole_digits = format!("{size:.0}").len();
    let digits = format!("{size:.*}", 4_usize.saturating_sub(whole_digits));
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => &digits,
    };
    format!("{digits}{unit}")
}

/// Cuts a text for a table column.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain("…".chars()).collect()
}

/// The text member `key` of a document; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The entries of a list; none if it is no list.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A word with a capital, as docker shows states.
pub(crate) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_dockers() {
        for (seconds, want) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (90, "About a minute"),
            (600, "10 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86400 * 3, "3 days"),
            (86400 * 21, "3 weeks"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), want);
        }
    }

    #[test]
    fn times_are_dockers() {
        let time = created_at(&Value::from(1_795_233_906));
        assert_eq!(time, "2026-11-21 04:05:06 +0000 UTC");
    }

    #[test]
    fn memory_is_counted_in_powers_of_1024() {
        for (bytes, want) in [
            (0, "0B"),
            (1000, "1000B"),
            (64 << 20, "64MiB"),
            ((1 << 30) * 3 / 2, "1.5GiB"),
            (67_100_000, "63.99MiB"),
        ] {
            assert_eq!(binary_size(bytes), want);
        }
    }

    #[test]
    fn ids_and_texts_are_cut() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(ellipsis("abcdef", 4), "abc…");
    }
}
