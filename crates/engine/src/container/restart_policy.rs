//! Whether, and after what delay, an ended container is started again. Pure.

use std::time::Duration;

use crate::domain::RestartPolicy;

/// First delay; Docker's.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay; Docker's.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A run of this length counts as good: the delay begins anew. Docker's.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// A run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndedRun {
    /// How it ended.
    pub(crate) exit_code: i64,
    /// How long it ran.
    pub(crate) ran_for: Duration,
    /// How often the policy has started it so far.
    pub(crate) restart_count: u32,
    /// Whether somebody asked it to stop.
    pub(crate) stopped_by_hand: bool,
}

/// Whether the policy wants an ended run repeated while the daemon is there.
pub(crate) fn wants_again(policy: RestartPolicy, run: EndedRun) -> bool {
    if run.stopped_by_hand {
        return false;
    }
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::OnFailure { max_retries } => {
            run.exit_code != 0 && max_retries.is_none_or(|most| run.restart_count < most)
        }
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
    }
}

/// Whether the policy wants a container that does not run started by a new daemon.
pub(crate) fn wants_at_boot(policy: RestartPolicy, run: EndedRun) -> bool {
    match policy {
        RestartPolicy::Always => true,
        other => wants_again(other, run),
    }
}

/// The delay before the next start. `previous` is the one before the ended run,
/// `None` where somebody started it by hand.
pub(crate) fn delay(previous: Option<Duration>, ran_for: Duration) -> Duration {
    match previous {
        Some(previous) if ran_for < GOOD_RUN => (previous * 2).min(LONGEST_DELAY),
        _ => FIRST_DELAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(exit_code: i64, restart_count: u32) -> EndedRun {
        EndedRun { exit_code, ran_for: Duration::ZERO, restart_count, stopped_by_hand: false }
    }

    #[test]
    fn each_policy_wants_what_its_name_says() {
        use RestartPolicy::*;
        let limited = OnFailure { max_retries: Some(2) };
        let endless = OnFailure { max_retries: None };
        for (policy, run, wanted) in [
            (No, run(1, 0), false),
            (limited, run(0, 0), false),
            (limited, run(1, 1), true),
            (limited, run(1, 2), false),
            (endless, run(1, 1000), true),
            (Always, run(0, 7), true),
            (UnlessStopped, run(0, 7), true),
        ] {
            assert_eq!(wants_again(policy, run), wanted, "{policy:?} {run:?}");
        }
    }

    #[test]
    fn a_stop_by_hand_holds_until_the_daemon_restarts_except_for_always() {
        let stopped = EndedRun { stopped_by_hand: true, ..run(137, 0) };
        for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped] {
            assert!(!wants_again(policy, stopped));
        }
        assert!(wants_at_boot(RestartPolicy::Always, stopped));
        assert!(!wants_at_boot(RestartPolicy::UnlessStopped, stopped));
    }

    #[test]
    fn delays_double_to_a_minute_and_begin_anew_after_a_good_run() {
        let mut last = None;
        let mut delays = Vec::new();
        for _ in 0..12 {
            last = Some(delay(last, Duration::from_secs(1)));
            delays.extend(last);
        }
        assert_eq!(delays[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(delays[10..], [LONGEST_DELAY; 2]);
        assert_eq!(delay(last, Duration::from_secs(11)), FIRST_DELAY);
    }
}
