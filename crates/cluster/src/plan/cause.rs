//! Why a step was planned.

use std::fmt;

/// Why a step was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The service wants more tasks than it has.
    ScaledUp,
    /// The service wants fewer tasks than it has.
    ScaledDown,
    /// A node has no task of a global service yet.
    NodeWithoutTask,
    /// The task ended and its restart policy says: again.
    Restarted,
    /// The task ended and its restart policy says: no more.
    Ended,
    /// Its node is down.
    NodeDown,
    /// Its node is being drained.
    NodeDrained,
    /// Its node was removed.
    NodeGone,
    /// Its node no longer meets the service's constraints.
    ConstraintsBroken,
    /// The service's spec changed.
    SpecChanged,
    /// The slot has a task of the new spec.
    Replaced,
    /// The delay is over and the slot is free.
    TurnCame,
    /// Its service was removed.
    ServiceGone,
    /// It ended after it was to be removed.
    Removed,
    /// More ended tasks than the history keeps.
    HistoryFull,
    /// Its node has been down for longer than anybody waits.
    Orphaned,
    /// A node was found for it.
    Scheduled,
    /// No node was found for it.
    Unschedulable,
    /// The update goes its way.
    UpdateProgress,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScaledUp => "scaled up",
            Self::ScaledDown => "scaled down",
            Self::NodeWithoutTask => "node without task",
            Self::Restarted => "restart policy",
            Self::Ended => "ended, no restart",
            Self::NodeDown => "node down",
            Self::NodeDrained => "node drained",
            Self::NodeGone => "node gone",
            Self::ConstraintsBroken => "node no longer meets the constraints",
            Self::SpecChanged => "spec changed",
            Self::Replaced => "replaced",
            Self::TurnCame => "its turn",
            Self::ServiceGone => "service gone",
            Self::Removed => "removed and ended",
            Self::HistoryFull => "history full",
            Self::Orphaned => "node lost",
            Self::Scheduled => "scheduled",
            Self::Unschedulable => "no place",
            Self::UpdateProgress => "update",
        })
    }
}
