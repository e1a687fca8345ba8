//! What happens when a task ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What happens when a task ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Which ends are followed by a new task.
    pub condition: RestartCondition,
    /// Time between the end of one task and the start of the next.
    pub delay: Option<Duration>,
    /// Restarts per slot before giving up; 0: without limit.
    pub max_attempts: u64,
    /// Only restarts within this time count as attempts; unset or zero: all.
    pub window: Option<Duration>,
}

impl RestartPolicy {
    /// The delay when the user did not say.
    pub const DEFAULT_DELAY: Duration = Duration::from_secs(5);

    /// The delay between the end of one task and the start of the next.
    pub fn delay(&self) -> Duration {
        self.delay.unwrap_or(Self::DEFAULT_DELAY)
    }

    /// The window, if attempts are counted in one.
    pub fn window(&self) -> Option<Duration> {
        self.window.filter(|window| !window.is_zero())
    }
}

/// Which ends of a task are followed by a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RestartCondition {
    /// None.
    None,
    /// Those that were no success.
    OnFailure,
    /// All.
    #[default]
    Any,
}

impl RestartCondition {
    /// `none`, `on-failure` or `any`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OnFailure => "on-failure",
            Self::Any => "any",
        }
    }
}
