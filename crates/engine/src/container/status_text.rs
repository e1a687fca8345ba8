//! Docker's sentence about where a container is: `Up 5 minutes (healthy)`. Pure.

use std::time::Duration;

use shoal_model::Timestamp;

use super::state::{Origin, Phase, RunState};
use crate::domain::HealthStatus;

/// The sentence about a state, as seen at `now`.
pub(super) fn status_text(state: &RunState, now: Timestamp) -> String {
    let ago = |since: Option<Timestamp>| human(now.since(since.unwrap_or(now)));
    match state.phase {
        Phase::Created | Phase::Starting { from: Origin::Created } => "Created".into(),
        Phase::Running => format!("Up {}{}", ago(state.started_at), health(state)),
        Phase::Paused => format!("Up {} (Paused)", ago(state.started_at)),
        Phase::Restarting | Phase::Starting { from: Origin::Restarting } => {
            format!("Restarting ({}) {} ago", state.exit_code, ago(state.finished_at))
        }
        Phase::Exited | Phase::Starting { from: Origin::Exited } => {
            format!("Exited ({}) {} ago", state.exit_code, ago(state.finished_at))
        }
        Phase::Removing => "Removal In Progress".into(),
        Phase::Dead => "Dead".into(),
    }
}

fn health(state: &RunState) -> &'static str {
    match state.health.as_ref().map(|health| health.status) {
        Some(HealthStatus::Starting) => " (health: starting)",
        Some(HealthStatus::Healthy) => " (healthy)",
        Some(HealthStatus::Unhealthy) => " (unhealthy)",
        Some(HealthStatus::None) | None => "",
    }
}

/// A duration in the largest whole unit; Docker's words.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    let hours = (duration.as_secs_f64() / 3600.0).round() as u64;
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::HealthView;

    #[test]
    fn durations_are_told_in_dockers_words() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (60 * 46, "46 minutes"),
            (60 * 60, "About an hour"),
            (60 * 60 * 3, "3 hours"),
            (60 * 60 * 24 * 3, "3 days"),
            (60 * 60 * 24 * 20, "2 weeks"),
            (60 * 60 * 24 * 100, "3 months"),
            (60 * 60 * 24 * 800, "2 years"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn each_phase_has_its_sentence() {
        let now = Timestamp::from_seconds(1_000);
        let mut state = RunState {
            started_at: Some(Timestamp::from_seconds(700)),
            finished_at: Some(Timestamp::from_seconds(990)),
            exit_code: 3,
            ..RunState::default()
        };
        let mut tell = |phase| {
            state.phase = phase;
            status_text(&state, now)
        };
        assert_eq!(tell(Phase::Created), "Created");
        assert_eq!(tell(Phase::Running), "Up 5 minutes");
        assert_eq!(tell(Phase::Paused), "Up 5 minutes (Paused)");
        assert_eq!(tell(Phase::Exited), "Exited (3) 10 seconds ago");
        assert_eq!(tell(Phase::Restarting), "Restarting (3) 10 seconds ago");
        state.phase = Phase::Running;
        state.health =
            Some(Box::new(HealthView { status: HealthStatus::Healthy, ..HealthView::default() }));
        assert_eq!(status_text(&state, now), "Up 5 minutes (healthy)");
    }
}
