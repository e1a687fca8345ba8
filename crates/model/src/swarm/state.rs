//! How far a task has come.
//!
//! ```text
//! manager:  New ─ Pending ─ Assigned
//! agent:    Assigned ─ Accepted ─ Preparing ─ Ready ─ Starting ─ Running ─ Complete
//!               │          │          │         │        │          ├──── Failed
//!               └──────────┴──────────┴─────────┴─ Rejected         └──── Shutdown
//! manager:  Remove is only ever desired; Orphaned ends what a lost node had
//! ```
//!
//! A task's observed state only moves forward in this order; it may skip.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How far a task has come, or should go. The numbers are SwarmKit's, with
/// room between them; their order is the order of time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[repr(i32)]
pub enum TaskState {
    /// Made.
    #[default]
    New = 0,
    /// Waits for a node.
    Pending = 64,
    /// Bound to a node.
    Assigned = 192,
    /// The node has it.
    Accepted = 256,
    /// The node fetches the image and makes the container.
    Preparing = 320,
    /// The container is made and not started.
    Ready = 384,
    /// Being started.
    Starting = 448,
    /// Runs (and is healthy, if it has a health check).
    Running = 512,
    /// Ended with exit status 0.
    Complete = 576,
    /// Ended because the manager asked for it.
    Shutdown = 640,
    /// Ended otherwise.
    Failed = 704,
    /// The node could not even start it.
    Rejected = 768,
    /// Only desired: end it and forget it.
    Remove = 800,
    /// Its node has been gone for so long that nobody waits for it.
    Orphaned = 832,
}

/// A number or word that is no task state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown task state {0:?}")]
pub struct UnknownTaskState(String);

impl crate::Classify for UnknownTaskState {
    fn kind(&self) -> crate::Kind {
        crate::Kind::Invalid
    }
}

impl TaskState {
    /// All states in their order.
    pub const ALL: [Self; 14] = [
        Self::New,
        Self::Pending,
        Self::Assigned,
        Self::Accepted,
        Self::Preparing,
        Self::Ready,
        Self::Starting,
        Self::Running,
        Self::Complete,
        Self::Shutdown,
        Self::Failed,
        Self::Rejected,
        Self::Remove,
        Self::Orphaned,
    ];

    /// The number on the wire.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The state with this number on the wire.
    pub fn from_number(number: i32) -> Result<Self, UnknownTaskState> {
        Self::ALL
            .into_iter()
            .find(|state| state.number() == number)
            .ok_or_else(|| UnknownTaskState(number.to_string()))
    }

    /// The word of the Docker API: `running`, `complete`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Remove => "remove",
            Self::Orphaned => "orphaned",
        }
    }

    /// Whether nothing follows: the container does not run and never will.
    pub fn is_terminal(self) -> bool {
        self > Self::Running
    }

    /// Whether a task seen in `self` may next be seen in `next`: observed
    /// states move forward, a terminal one stays, and `Remove` is never
    /// observed. The same state again is allowed (a new message).
    pub fn may_become(self, next: Self) -> bool {
        if next == Self::Remove {
            return false;
        }
        if self.is_terminal() { next == self || next == Self::Orphaned } else { next >= self }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TaskState {
    type Err = UnknownTaskState;

    fn from_str(text: &str) -> Result<Self, UnknownTaskState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownTaskState(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_words_and_order_agree() {
        for pair in TaskState::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].number() < pair[1].number());
        }
        for state in TaskState::ALL {
            assert_eq!(TaskState::from_number(state.number()), Ok(state));
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!(TaskState::from_number(1).is_err());
        assert!("Running".parse::<TaskState>().is_err());
    }

    #[test]
    fn observed_states_only_move_forward() {
        use TaskState::*;
        assert!(Assigned.may_become(Running));
        assert!(Running.may_become(Running));
        assert!(!Running.may_become(Starting));
        assert!(!Failed.may_become(Shutdown));
        assert!(!Complete.may_become(Failed));
        assert!(Failed.may_become(Orphaned));
        assert!(!Running.may_become(Remove));
    }
}
