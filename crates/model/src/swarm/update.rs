//! Rolling updates: how they go, and how far one has come.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How a change of a service is rolled out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateConfig {
    /// Slots updated at a time; 0: all at once.
    pub parallelism: u64,
    /// Rest of each of these lanes after a slot was updated.
    pub delay: Duration,
    /// What to do when updated tasks fail.
    pub failure_action: FailureAction,
    /// How long after its start a task's end counts as a failure of the
    /// update.
    pub monitor: Option<Duration>,
    /// Share of the slots, 0 to 1, that may fail before `failure_action`.
    pub max_failure_ratio: f32,
    /// Whether the new task starts before the old one stops.
    pub order: UpdateOrder,
}

impl UpdateConfig {
    /// The monitor period when the user did not say.
    pub const DEFAULT_MONITOR: Duration = Duration::from_secs(5);

    /// The monitor period.
    pub fn monitor(&self) -> Duration {
        self.monitor.unwrap_or(Self::DEFAULT_MONITOR)
    }
}

impl Default for UpdateConfig {
    fn default() -> Self {
        Self {
            parallelism: 1,
            delay: Duration::ZERO,
            failure_action: FailureAction::Pause,
            monitor: None,
            max_failure_ratio: 0.0,
            order: UpdateOrder::StopFirst,
        }
    }
}

/// What to do when updated tasks fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FailureAction {
    /// Stop and wait for the user.
    #[default]
    Pause,
    /// Go on.
    Continue,
    /// Return to the spec before.
    Rollback,
}

impl FailureAction {
    /// `pause`, `continue` or `rollback`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Continue => "continue",
            Self::Rollback => "rollback",
        }
    }
}

/// Which of the old and the new task moves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum UpdateOrder {
    /// The old one stops, then the new one starts.
    #[default]
    StopFirst,
    /// The new one starts, then the old one stops.
    StartFirst,
}

impl UpdateOrder {
    /// `stop-first` or `start-first`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StopFirst => "stop-first",
            Self::StartFirst => "start-first",
        }
    }
}

/// How far a rolling update has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateStatus {
    /// What it is doing.
    pub state: UpdateState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// The same in words; Docker's.
    pub message: String,
}

/// What a rolling update is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateState {
    /// Replaces tasks.
    Updating,
    /// Waits for the user after failures.
    Paused,
    /// Done.
    Completed,
    /// Replaces tasks by ones of the spec before.
    RollbackStarted,
    /// Waits for the user after failures of the roll back.
    RollbackPaused,
    /// Rolled back.
    RollbackCompleted,
}

impl UpdateState {
    /// The word of the Docker API: `updating`, `rollback_started`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Updating => "updating",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::RollbackStarted => "rollback_started",
            Self::RollbackPaused => "rollback_paused",
            Self::RollbackCompleted => "rollback_completed",
        }
    }
}
