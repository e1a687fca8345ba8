//! Waits that are kept as the time of their end, under clocks that are set.

use std::time::Duration;

use shoal_model::Timestamp;

/// How far one leader's clock may be behind another's, or be set back, without ending a wait: more
/// than well-kept clocks differ by, less than anybody minds waiting for.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(10);

/// Whether a wait of this length that ends at `until` goes on. One with more left than it ever
/// had was begun by a clock that was set back since (a machine that booted with a wrong time),
/// and counts as over: its end may be years away.
pub(super) fn goes_on(until: Timestamp, length: Duration, now: Timestamp) -> bool {
    now < until && until.since(now) <= length.saturating_add(CLOCK_TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cluster::at;

    #[test]
    fn a_wait_goes_on_until_its_end_and_not_for_longer_than_it_is() {
        let minute = Duration::from_secs(60);
        for (now, expected) in [(100, false), (99, true), (40, true), (30, true), (29, false)] {
            assert_eq!(goes_on(at(100), minute, at(now)), expected, "{now}");
        }
        assert!(goes_on(at(100), Duration::MAX, at(0)));
    }
}
