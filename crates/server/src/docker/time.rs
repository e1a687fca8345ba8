//! Points in time as clients give them: unix seconds with a fraction, RFC 3339,
//! or a duration before now.

use shoal_model::{Timestamp, units};

use super::error::{ApiError, Result};

/// Reads `since` and the like: `1700000000`, `1700000000.000000001`, RFC 3339.
/// Zero is no limit.
///
/// # Errors
/// `Invalid` for anything else.
pub(crate) fn parse_since(text: &str) -> Result<Option<Timestamp>> {
    let time = parse_unix(text).or_else(|| Timestamp::parse(text).ok());
    match time {
        Some(time) => Ok((time.nanos() != 0).then_some(time)),
        None => Err(ApiError::invalid(format!("invalid time {text:?}"))),
    }
}

/// Reads the `until` of a prune: also a duration before `now`, as `24h`.
///
/// # Errors
/// `Invalid` for anything else.
pub(crate) fn parse_until(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(duration) = units::parse_go_duration(text) {
        let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        return Ok(Timestamp::from_nanos(now.nanos().saturating_sub(nanos)));
    }
    parse_since(text).map(|time| time.unwrap_or(Timestamp::from_nanos(0)))
}

fn parse_unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos: i64 = digits.parse().ok()?;
    Some(Timestamp::from_nanos(whole.checked_mul(1_000_000_000)?.checked_add(nanos)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_forms() {
        let since = |text| parse_since(text).expect(text).map(Timestamp::nanos);
        assert_eq!(since("0"), None);
        assert_eq!(since("1"), Some(1_000_000_000));
        assert_eq!(since("1.5"), Some(1_500_000_000));
        assert_eq!(since("1.000000001"), Some(1_000_000_001));
        assert_eq!(since("1970-01-01T00:00:01Z"), Some(1_000_000_000));
        assert!(parse_since("yesterday").is_err() && parse_since("1.x").is_err());
        let now = Timestamp::from_seconds(100);
        assert_eq!(parse_until("1m", now).expect("a duration"), Timestamp::from_seconds(40));
        assert_eq!(parse_until("7", now).expect("a time"), Timestamp::from_seconds(7));
    }
}
