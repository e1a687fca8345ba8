//! Amounts as people write them: bytes and durations.

use std::time::Duration;

/// A text that is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number of bytes.
    #[error("invalid size: '{0}'")]
    Bytes(String),
    /// Not a duration in Go's form.
    #[error("time: invalid duration \"{0}\"")]
    Duration(String),
}

impl crate::Classify for UnitError {
    fn kind(&self) -> crate::Kind {
        crate::Kind::Invalid
    }
}

/// Reads `512`, `512b`, `64k`, `1.5g`, `2GiB` (powers of 1024, as Docker
/// reads memory sizes) into bytes.
///
/// # Errors
/// When it is no such text or does not fit 63 bits.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError::Bytes(text.chars().take(40).collect());
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        let bytes = whole.checked_mul(1 << shift).ok_or_else(wrong)?;
        return if bytes <= i64::MAX as u64 { Ok(bytes) } else { Err(wrong()) };
    }
    let value = number.parse::<f64>().map_err(|_| wrong())? * (1u64 << shift) as f64;
    if value.is_finite() && (0.0..9.2e18).contains(&value) {
        Ok(value as u64)
    } else {
        Err(wrong())
    }
}

/// `1.5kB`, `12.3MB`: powers of 1000 with four digits, as Docker prints sizes.
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => trim_zeros(format!("{v:.1}")),
        v => trim_zeros(format!("{v:.2}")),
    };
    format!("{digits}{}", UNITS[unit])
}

fn trim_zeros(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// Reads Go's durations: `300ms`, `1m30s`, `1.5h`, `0`.
///
/// # Errors
/// When it is no such text, negative, or longer than 292 years.
pub fn parse_go_duration(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Duration(text.chars().take(40).collect());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        nanos += number
            * match &rest[..end] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(wrong()),
            };
        rest = &rest[end..];
    }
    if nanos < 9.2e18 { Ok(Duration::from_nanos(nanos.round() as u64)) } else { Err(wrong()) }
}

/// Prints a duration as Go does: `1m30s`, `1.5s`, `300ms`, `0s`.
pub fn format_go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let sub_second = |unit: u128, name: &str| {
        let fraction = trim_zeros(format!(
            "{}.{:0width$}",
            nanos / unit,
            nanos % unit,
            width = unit.ilog10() as usize
        ));
        format!("{fraction}{name}")
    };
    match nanos {
        0 => "0s".into(),
        n if n < 1_000 => format!("{n}ns"),
        n if n < 1_000_000 => sub_second(1_000, "µs"),
        n if n < 1_000_000_000 => sub_second(1_000_000, "ms"),
        _ => {
            let whole = duration.as_secs();
            let (hours, minutes) = (whole / 3600, whole / 60 % 60);
            let seconds = trim_zeros(format!("{}.{:09}", whole % 60, duration.subsec_nanos()));
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(parse_bytes("512m"), Ok(512 << 20));
        assert_eq!(parse_bytes("1.5g"), Ok(3 << 29));
        assert_eq!(parse_bytes("10"), Ok(10));
        for bad in ["", "m", "-1", "1x", "1e400", "99999999999999999999g", "16p0"] {
            assert!(parse_bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_read_back_as_printed() {
        for text in ["1ns", "1.5µs", "300ms", "1s", "1.5s", "1m0s", "1m30s", "2h0m0.5s"] {
            assert_eq!(format_go_duration(parse_go_duration(text).unwrap()), text);
        }
        assert_eq!(parse_go_duration("0"), Ok(Duration::ZERO));
        for bad in ["", "1", "s", "-1s", "1y", "1.2.3s", "999999999h"] {
            assert!(parse_go_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_as_docker_prints_them() {
        assert_eq!(human_size(0), "0B");
        assert_eq!(human_size(1_500), "1.5kB");
        assert_eq!(human_size(12_340_000), "12.3MB");
        assert_eq!(human_size(123_400_000), "123MB");
    }
}
