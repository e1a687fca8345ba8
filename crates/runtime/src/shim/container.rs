//! The container's state and first process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use shoal_model::Timestamp;
use shoal_sys::{
    cgroup::Cgroup,
    process::{Child, Ended, Namespaces},
};

use super::{connection::ClientId, io_ends::ShimIo};
use crate::{
    bundle::{ExitRecord, ShimConfig},
    handshake::ShimEnd,
    plan::ProcessPlan,
    protocol::{Failure, Reason, StateReport, Status},
};

/// One container.
pub(super) struct Container {
    pub(super) phase: Phase,
    pub(super) io: ShimIo,
    /// What execs inherit; set by `Create`.
    pub(super) made: Option<Made>,
    /// Clients to be told of the end, with their request's id.
    pub(super) waits: Vec<(ClientId, u64)>,
    /// A network namespace that came with a request.
    pub(super) netns: Option<OwnedFd>,
}

/// Where it stands; `protocol.rs` draws it.
pub(super) enum Phase {
    Idle,
    Created {
        init: Child,
        socket: ShimEnd,
    },
    Running {
        init: Child,
        started_at: Timestamp,
        paused: bool,
    },
    /// Its process has ended; output is still to be read and people to be told.
    Ending {
        ended: Result<Ended, Failure>,
        started_at: Option<Timestamp>,
    },
    Exited(ExitRecord),
}

/// What stays of the making.
pub(super) struct Made {
    pub(super) config: ShimConfig,
    pub(super) process: ProcessPlan,
    pub(super) cgroup: Option<Cgroup>,
    /// Namespaces execs have to join.
    pub(super) namespaces: Namespaces,
}

impl Container {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            io: ShimIo::default(),
            made: None,
            waits: Vec::new(),
            netns: None,
        }
    }

    pub(super) fn init(&self) -> Option<&Child> {
        match &self.phase {
            Phase::Created { init, .. } | Phase::Running { init, .. } => Some(init),
            _ => None,
        }
    }

    pub(super) fn pidfd_to_watch(&self) -> Option<BorrowedFd<'_>> {
        self.init().map(|init| init.pidfd.as_fd())
    }

    pub(super) fn cgroup(&self) -> Option<&Cgroup> {
        self.made.as_ref()?.cgroup.as_ref()
    }

    /// Collects the first process if it has ended.
    pub(super) fn init_ended(&mut self) {
        let Some(init) = self.init() else { return };
        let ended = match init.ended() {
            Ok(None) => return,
            Ok(Some(ended)) => Ok(ended),
            Err(error) => Err(Failure::new(Reason::Failed, format!("waiting: {error}"))),
        };
        self.set_ending(ended);
    }

    pub(super) fn set_ending(&mut self, ended: Result<Ended, Failure>) {
        let started_at = match &self.phase {
            Phase::Running { started_at, .. } => Some(*started_at),
            _ => None,
        };
        self.phase = Phase::Ending { ended, started_at };
    }

    pub(super) fn report(&self) -> StateReport {
        let mut report = StateReport {
            status: Status::Idle,
            pid: self.init().map(|init| init.pid),
            started_at: None,
            exit: None,
            execs: Vec::new(),
        };
        match &self.phase {
            Phase::Idle => {}
            Phase::Created { .. } => report.status = Status::Created,
            Phase::Running { started_at, paused, .. } => {
                report.status = if *paused { Status::Paused } else { Status::Running };
                report.started_at = Some(*started_at);
            }
            Phase::Ending { started_at, .. } => {
                // Nobody has been told, so for everybody it still runs.
                report.status = Status::Running;
                report.started_at = *started_at;
            }
            Phase::Exited(record) => {
                report.status = Status::Exited;
                report.started_at = record.started_at;
                report.exit = Some(record.clone());
            }
        }
        report
    }
}
