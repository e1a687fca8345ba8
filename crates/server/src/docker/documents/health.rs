//! Health checks.

use std::time::Duration;

use super::super::error::{ApiError, Result};
use super::super::wire::{Words, wire};

/// The shortest time a health check may have; Docker's.
const SHORTEST: Duration = Duration::from_millis(1);

wire!(
    /// `Healthcheck` of a container and of a service's tasks; times in nanoseconds.
    HealthDocument {
        test: Option<Words> = "Test",
        interval: i64 = "Interval",
        timeout: i64 = "Timeout",
        start_period: i64 = "StartPeriod",
        start_interval: i64 = "StartInterval",
        retries: i64 = "Retries",
    }
);

/// A health check whose numbers make sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HealthTerms {
    /// The words of the test as given; `None` is none.
    pub(crate) test: Option<Vec<String>>,
    /// Time between two checks.
    pub(crate) interval: Duration,
    /// Time one check may take.
    pub(crate) timeout: Duration,
    /// Time in which failures do not count.
    pub(crate) start_period: Duration,
    /// Time between two checks in that time.
    pub(crate) start_interval: Duration,
    /// Failures in a row that make a container unhealthy.
    pub(crate) retries: u32,
}

impl HealthDocument {
    /// The check the document asks for; `what` is what Docker calls a health check here.
    ///
    /// # Errors
    /// `Invalid` with Docker's texts: a time is 0 or at least 1 ms, no number is negative.
    pub(crate) fn into_terms(self, what: &str) -> Result<HealthTerms> {
        let Self { test, interval, timeout, start_period, start_interval, retries } = self;
        Ok(HealthTerms {
            test: test.map(|words| words.0),
            interval: time(interval, "Interval", what)?,
            timeout: time(timeout, "Timeout", what)?,
            retries: u32::try_from(retries)
                .map_err(|_| ApiError::invalid(format!("Retries in {what} cannot be negative")))?,
            start_period: time(start_period, "StartPeriod", what)?,
            start_interval: time(start_interval, "StartInterval", what)?,
        })
    }
}

fn time(nanos: i64, name: &str, what: &str) -> Result<Duration> {
    match u64::try_from(nanos).map(Duration::from_nanos) {
        Ok(time) if time.is_zero() || time >= SHORTEST => Ok(time),
        _ => Err(ApiError::invalid(format!("{name} in {what} cannot be less than 1ms"))),
    }
}

/// Whether the words are a test Docker knows: nothing, `NONE`, `CMD` with a program,
/// `CMD-SHELL` with one line.
///
/// # Errors
/// `Invalid`, naming the first word.
pub(crate) fn check_test(words: &[String]) -> Result<()> {
    let Some((kind, rest)) = words.split_first() else { return Ok(()) };
    match (kind.as_str(), rest) {
        ("", []) | ("NONE", _) | ("CMD", [_, ..]) | ("CMD-SHELL", [_]) => Ok(()),
        _ => Err(ApiError::invalid(format!("invalid health check test {kind:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_nothing_or_a_millisecond() {
        let read =
            |interval| HealthDocument { interval, ..Default::default() }.into_terms("Healthcheck");
        assert_eq!(read(0).expect("none").interval, Duration::ZERO);
        assert_eq!(read(1_000_000).expect("a millisecond").interval, SHORTEST);
        for short in [1_000, 999_999, -1] {
            let error = read(short).expect_err("too short");
            assert_eq!(error.message(), "Interval in Healthcheck cannot be less than 1ms");
        }
        let negative = HealthDocument { retries: -1, ..Default::default() };
        let error = negative.into_terms("Healthcheck").expect_err("refused");
        assert_eq!(error.message(), "Retries in Healthcheck cannot be negative");
    }

    #[test]
    fn a_test_is_one_of_dockers() {
        let check = |words: &[&str]| {
            check_test(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
        };
        for words in [&[][..], &["NONE"], &["CMD", "x", "y"], &["CMD-SHELL", "x"]] {
            assert!(check(words).is_ok(), "{words:?}");
        }
        for words in [&["CMD"][..], &["CMD-SHELL", "x", "y"], &["SHELL", "x"]] {
            assert!(check(words).is_err(), "{words:?}");
        }
    }
}
