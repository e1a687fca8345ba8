//! Where a container is in its life.
//!
//! ```text
//!             Start            Started           Pause
//!  Created ─────────▶ Starting ───────▶ Running ──────▶ Paused
//!     ▲                ▲ │  ▲              │  ◀──────     │
//!     └── StartFailed ─┼─┤  │              │  Unpause     │
//!       (never ran)    │ │  │ Start        │              │
//!                Start │ │  │        Exited│{again: true} │
//!                      │ │  └─ Restarting ◀┼──────────────┤
//!                      │ │        │ GiveUp │              │
//!          StartFailed │ ▼        ▼        │{again: false}│
//!          (ran) ─────▶ Exited ◀───────────┴──────────────┘
//!
//!  Created, Exited, Dead ── Remove ──▶ Removing ── RemoveFailed ──▶ Dead
//! ```
//!
//! [`Phase::transition`] is the only place that says what may follow what; every
//! other file asks it. A refusal says why in a closed set of reasons; the verbs
//! turn those into Docker's sentences. Not here: processes, files, time.

use serde::{Deserialize, Serialize};
use shoal_model::Timestamp;
use shoal_runtime::bundle::ExitRecord;

use crate::domain::{ContainerStatus, HealthStatus};

/// A place in a container's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Made, never started.
    #[default]
    Created,
    /// On its way to run.
    Starting {
        /// What it was before.
        from: Origin,
    },
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has exited, and its restart policy will start it again.
    Restarting,
    /// It has exited.
    Exited,
    /// It is being removed.
    Removing,
    /// Its removal failed half way.
    Dead,
}

/// What a container is started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// It has never run.
    Created,
    /// It has exited.
    Exited,
    /// It has exited, and its restart policy starts it.
    Restarting,
}

/// What can happen to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// Somebody, or the restart policy, starts it.
    Start,
    /// Its program runs.
    Started,
    /// Its program could not be run.
    StartFailed,
    /// Somebody freezes it.
    Pause,
    /// Somebody lets it go on.
    Unpause,
    /// Its process has ended.
    Exited {
        /// Whether the restart policy wants it back.
        again: bool,
    },
    /// The restart policy's plan is dropped: somebody stops it.
    GiveUp,
    /// Somebody removes it.
    Remove,
    /// Not everything could be removed.
    RemoveFailed,
}

/// Why something cannot happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It runs, or is about to.
    AlreadyRunning,
    /// It does not run.
    NotRunning,
    /// It is frozen.
    Paused,
    /// It is not frozen.
    NotPaused,
    /// It waits for its next start.
    Restarting,
    /// It is being removed, or that failed half way.
    Removing,
    /// Told by its process and out of order.
    OutOfOrder,
}

impl Phase {
    /// What follows when `happening` happens here.
    pub(crate) fn transition(self, happening: Happening) -> Result<Phase, Refused> {
        use Happening as H;
        use Phase as P;
        Ok(match (self, happening) {
            (P::Created, H::Start) => P::Starting { from: Origin::Created },
            (P::Exited, H::Start) => P::Starting { from: Origin::Exited },
            (P::Restarting, H::Start) => P::Starting { from: Origin::Restarting },
            (P::Starting { .. } | P::Running, H::Start) => return Err(Refused::AlreadyRunning),
            (P::Paused, H::Start) => return Err(Refused::Paused),

            (P::Starting { .. }, H::Started) => P::Running,
            (P::Starting { from: Origin::Created }, H::StartFailed) => P::Created,
            (P::Starting { .. }, H::StartFailed) => P::Exited,

            (P::Running, H::Pause) => P::Paused,
            (P::Paused, H::Pause) => return Err(Refused::Paused),
            (P::Restarting, H::Pause) => return Err(Refused::Restarting),
            (P::Created | P::Starting { .. } | P::Exited, H::Pause) => {
                return Err(Refused::NotRunning);
            }
            (P::Paused, H::Unpause) => P::Running,
            (P::Running | P::Restarting, H::Unpause) => return Err(Refused::NotPaused),
            (P::Created | P::Starting { .. } | P::Exited, H::Unpause) => {
                return Err(Refused::NotPaused);
            }

            // A container adopted after a crash may end before it was seen running.
            (P::Running | P::Paused | P::Starting { .. }, H::Exited { again: true }) => {
                P::Restarting
            }
            (P::Running | P::Paused | P::Starting { .. }, H::Exited { again: false }) => P::Exited,
            // A failed start of the restart policy may be tried once more.
            (P::Created | P::Exited, H::Exited { again: true }) => P::Restarting,
            (P::Restarting, H::GiveUp) => P::Exited,

            (P::Created | P::Exited | P::Dead, H::Remove) => P::Removing,
            (P::Running | P::Starting { .. }, H::Remove) => return Err(Refused::AlreadyRunning),
            (P::Paused, H::Remove) => return Err(Refused::Paused),
            (P::Restarting, H::Remove) => return Err(Refused::Restarting),
            (P::Removing, H::RemoveFailed) => P::Dead,

            (P::Removing | P::Dead, _) => return Err(Refused::Removing),
            (_, H::Started | H::StartFailed | H::Exited { .. } | H::GiveUp | H::RemoveFailed) => {
                return Err(Refused::OutOfOrder);
            }
        })
    }

    /// Whether there is, or soon will be, a process.
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Phase::Starting { .. } | Phase::Running | Phase::Paused | Phase::Restarting)
    }

    /// Whether there is a process.
    pub(crate) fn has_process(self) -> bool {
        matches!(self, Phase::Running | Phase::Paused)
    }

    /// Docker's word for it. A container on its way to run is what it was before.
    pub(crate) fn status(self) -> ContainerStatus {
        match self {
            Phase::Created | Phase::Starting { from: Origin::Created } => ContainerStatus::Created,
            Phase::Running => ContainerStatus::Running,
            Phase::Paused => ContainerStatus::Paused,
            Phase::Restarting | Phase::Starting { from: Origin::Restarting } => {
                ContainerStatus::Restarting
            }
            Phase::Exited | Phase::Starting { from: Origin::Exited } => ContainerStatus::Exited,
            Phase::Removing => ContainerStatus::Removing,
            Phase::Dead => ContainerStatus::Dead,
        }
    }
}

/// Everything about a container that changes while it lives (`state.json`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunState {
    /// Where it is.
    pub(crate) phase: Phase,
    /// Host process id of its first process; 0 without one.
    pub(crate) pid: u32,
    /// Exit code of the last run, as inspect shows it.
    pub(crate) exit_code: i64,
    /// Why the last start failed; empty otherwise.
    pub(crate) error: String,
    /// Whether the kernel killed for memory in the last run.
    pub(crate) oom_killed: bool,
    /// Begin of the last run.
    pub(crate) started_at: Option<Timestamp>,
    /// End of the last run.
    pub(crate) finished_at: Option<Timestamp>,
    /// How often the restart policy has started it since somebody did by hand.
    pub(crate) restart_count: u32,
    /// Somebody asked it to stop: the restart policy keeps still.
    pub(crate) stopped_by_hand: bool,
    /// Its place in the networks, to be adopted after a crash of the daemon.
    pub(crate) sandbox: Option<Box<shoal_network::SandboxState>>,
    /// Number of exits this daemon has seen, for those who wait for the next one.
    #[serde(skip)]
    pub(crate) exits: u64,
    /// Exit code of the last of those.
    #[serde(skip)]
    pub(crate) last_exit_code: i64,
    /// Number of the exit that is brought about by force: the shim of that run is stuck.
    #[serde(skip)]
    pub(crate) given_up: u64,
    /// It is gone.
    #[serde(skip)]
    pub(crate) removed: bool,
    /// Why it is not gone although it should be.
    #[serde(skip)]
    pub(crate) removal_error: Option<String>,
    /// What its health check says; `None` without one. What does not run is unhealthy.
    #[serde(skip)]
    pub(crate) health: Option<Box<crate::domain::HealthView>>,
}

/// What a restart policy goes by after a power cut: this much of a state is synced. The default
/// is what is read where no state is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// It has run.
    started: bool,
    /// Somebody asked it to stop.
    stopped_by_hand: bool,
}

impl RunState {
    /// What of it a power cut must not take.
    pub(crate) fn kept(&self) -> Kept {
        Kept { started: self.started_at.is_some(), stopped_by_hand: self.stopped_by_hand }
    }

    /// Lets `happening` happen, or says why it cannot.
    pub(crate) fn apply(&mut self, happening: Happening) -> Result<(), Refused> {
        self.phase = self.phase.transition(happening)?;
        Ok(())
    }

    /// A run has begun, by somebody's hand or by the restart policy.
    pub(crate) fn note_start(&mut self, by_policy: bool) {
        self.exit_code = 0;
        self.error.clear();
        self.oom_killed = false;
        self.stopped_by_hand = false;
        self.restart_count = if by_policy { self.restart_count + 1 } else { 0 };
    }

    /// A run has ended; told to those who wait.
    pub(crate) fn note_end(&mut self, ended: &ExitRecord) {
        self.clear_process();
        self.exit_code = ended.exit_code.into();
        self.oom_killed = ended.oom_killed;
        self.error = ended.error.clone().unwrap_or_default();
        self.started_at = ended.started_at.or(self.started_at);
        self.finished_at = Some(ended.finished_at);
        self.exits += 1;
        self.last_exit_code = ended.exit_code.into();
    }

    /// There is no process.
    pub(crate) fn clear_process(&mut self) {
        self.pid = 0;
        self.sandbox = None;
        // The last probes say why it ended.
        if let Some(health) = &mut self.health {
            health.status = HealthStatus::Unhealthy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 10] = [
        Phase::Created,
        Phase::Starting { from: Origin::Created },
        Phase::Starting { from: Origin::Exited },
        Phase::Starting { from: Origin::Restarting },
        Phase::Running,
        Phase::Paused,
        Phase::Restarting,
        Phase::Exited,
        Phase::Removing,
        Phase::Dead,
    ];

    fn walk(happenings: &[Happening]) -> Result<Phase, Refused> {
        happenings.iter().try_fold(Phase::Created, |phase, happening| phase.transition(*happening))
    }

    #[test]
    fn a_life_without_trouble() {
        use Happening::*;
        let life = [Start, Started, Pause, Unpause, Exited { again: true }, Start, Started];
        assert_eq!(walk(&life), Ok(Phase::Running));
        let end = [Start, Started, Exited { again: false }, Remove];
        assert_eq!(walk(&end), Ok(Phase::Removing));
    }

    #[test]
    fn a_failed_start_leads_back_to_where_it_was() {
        use Happening::*;
        assert_eq!(walk(&[Start, StartFailed]), Ok(Phase::Created));
        let again = [Start, Started, Exited { again: false }, Start, StartFailed];
        assert_eq!(walk(&again), Ok(Phase::Exited));
    }

    #[test]
    fn nothing_happens_to_what_is_being_removed() {
        use Happening::*;
        for happening in [Start, Pause, Unpause, Exited { again: true }, Remove, Started] {
            assert_eq!(Phase::Removing.transition(happening), Err(Refused::Removing));
        }
        assert_eq!(Phase::Dead.transition(Remove), Ok(Phase::Removing));
        assert_eq!(Phase::Dead.transition(Start), Err(Refused::Removing));
    }

    #[test]
    fn only_what_does_not_run_can_be_removed_and_only_what_runs_can_end() {
        for phase in PHASES {
            let removable = phase.transition(Happening::Remove).is_ok();
            assert_eq!(
                removable,
                matches!(phase, Phase::Created | Phase::Exited | Phase::Dead),
                "{phase:?}"
            );
            if phase.is_active() {
                assert!(!removable, "{phase:?}");
            }
            let ends = phase.transition(Happening::Exited { again: false }).is_ok();
            assert_eq!(ends, phase.is_active() && phase != Phase::Restarting, "{phase:?}");
        }
    }
}
