//! All execs, by id. Lookups only; no IO.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_model::{ContainerId, ExecId};
use tokio::sync::watch;

use crate::domain::CreateExec;
use crate::error::ExecError;

/// Ended execs that can still be inspected; the oldest are forgotten first. Clients ask
/// for the exit code right after the end.
const ENDED_KEPT: usize = 512;
/// Execs that were made and not started yet; a client that only makes them must not
/// fill the memory.
const UNSTARTED_KEPT: usize = 4096;

/// One exec.
#[derive(Debug)]
pub(crate) struct Exec {
    /// Its id.
    pub(crate) id: ExecId,
    /// Its container.
    pub(crate) container: ContainerId,
    /// What was asked for.
    pub(crate) request: CreateExec,
    state: watch::Sender<ExecState>,
}

/// Where an exec is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExecState {
    /// Made, not started.
    Made,
    /// On its way to run.
    Starting,
    /// It runs.
    Running {
        /// Host process id.
        pid: u32,
    },
    /// It has ended.
    Ended {
        /// Its exit code.
        exit_code: i64,
    },
}

impl Exec {
    /// Where it is.
    pub(crate) fn state(&self) -> ExecState {
        *self.state.borrow()
    }

    /// It is started; only once.
    pub(crate) fn claim(&self) -> Result<(), ExecError> {
        let mut outcome = Ok(());
        self.state.send_if_modified(|state| match *state {
            ExecState::Made => {
                *state = ExecState::Starting;
                true
            }
            ExecState::Starting | ExecState::Running { .. } => {
                outcome = Err(format!("exec {} is already running", self.id));
                false
            }
            ExecState::Ended { .. } => {
                outcome = Err(format!("exec {} has already run", self.id));
                false
            }
        });
        outcome.map_err(ExecError::Conflict)
    }

    /// Where it is once it is no longer on its way.
    pub(crate) async fn begun(&self) -> ExecState {
        let mut changes = self.state.subscribe();
        let begun = changes.wait_for(|state| *state != ExecState::Starting).await;
        begun.map_or(ExecState::Starting, |state| *state)
    }

    /// Waits for its end; its exit code.
    pub(crate) async fn wait(&self) -> Option<i64> {
        let mut changes = self.state.subscribe();
        let ended = changes.wait_for(|state| matches!(state, ExecState::Ended { .. })).await;
        match ended.as_deref() {
            Ok(ExecState::Ended { exit_code }) => Some(*exit_code),
            _ => None,
        }
    }
}

/// All execs of a node.
#[derive(Debug, Default)]
pub(crate) struct ExecTable {
    execs: Mutex<Execs>,
}

#[derive(Debug, Default)]
struct Execs {
    by_id: HashMap<ExecId, Arc<Exec>>,
    unstarted: VecDeque<ExecId>,
    ended: VecDeque<ExecId>,
}

impl ExecTable {
    /// Adds an exec that was made.
    pub(crate) fn insert(&self, id: ExecId, container: ContainerId, request: CreateExec) {
        let state = watch::Sender::new(ExecState::Made);
        let exec = Arc::new(Exec { id: id.clone(), container, request, state });
        let mut execs = self.lock();
        execs.by_id.insert(id.clone(), exec);
        execs.unstarted.push_back(id);
        if execs.unstarted.len() > UNSTARTED_KEPT
            && let Some(oldest) = execs.unstarted.pop_front()
        {
            let made = |exec: &Arc<Exec>| exec.state() == ExecState::Made;
            if execs.by_id.get(&oldest).is_some_and(made) {
                execs.by_id.remove(&oldest);
            }
        }
    }

    /// The exec with this id.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Exec>, ExecError> {
        let not_found = || ExecError::NotFound(id.into());
        let key: ExecId = id.parse().map_err(|_| not_found())?;
        self.lock().by_id.get(&key).cloned().ok_or_else(not_found)
    }

    /// It runs.
    pub(crate) fn started(&self, exec: &Exec, pid: u32) {
        exec.state.send_replace(ExecState::Running { pid });
    }

    /// It has ended.
    pub(crate) fn ended(&self, exec: &Exec, exit_code: i64) {
        let first = exec.state.send_if_modified(|state| {
            let first = !matches!(state, ExecState::Ended { .. });
            if first {
                *state = ExecState::Ended { exit_code };
            }
            first
        });
        if !first {
            return;
        }
        let mut execs = self.lock();
        execs.ended.push_back(exec.id.clone());
        if execs.ended.len() > ENDED_KEPT
            && let Some(oldest) = execs.ended.pop_front()
        {
            execs.by_id.remove(&oldest);
        }
    }

    /// The running execs of a container.
    pub(crate) fn running_in(&self, container: &ContainerId) -> Vec<ExecId> {
        let execs = self.lock();
        let running = execs.by_id.values().filter(|exec| {
            exec.container == *container && matches!(exec.state(), ExecState::Running { .. })
        });
        let mut ids: Vec<ExecId> = running.map(|exec| exec.id.clone()).collect();
        ids.sort();
        ids
    }

    /// A container has been removed, and its execs with it.
    pub(crate) fn forget_container(&self, container: &ContainerId) {
        let mut execs = self.lock();
        execs.by_id.retain(|_, exec| exec.container != *container);
        let Execs { by_id, unstarted, ended } = &mut *execs;
        unstarted.retain(|id| by_id.contains_key(id));
        ended.retain(|id| by_id.contains_key(id));
    }

    fn lock(&self) -> MutexGuard<'_, Execs> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ExecId {
        ExecId::from_bytes([byte; 32])
    }

    #[test]
    fn an_exec_is_started_once() {
        let table = ExecTable::default();
        let container = ContainerId::from_bytes([9; 32]);
        table.insert(id(1), container.clone(), CreateExec::default());
        let exec = table.get(id(1).as_str()).unwrap();
        exec.claim().unwrap();
        assert!(exec.claim().is_err());
        table.started(&exec, 42);
        assert_eq!(table.running_in(&container), [id(1)]);
        table.ended(&exec, 3);
        table.ended(&exec, 4);
        assert_eq!(exec.state(), ExecState::Ended { exit_code: 3 });
        assert!(exec.claim().unwrap_err().to_string().ends_with("has already run"));
        table.forget_container(&container);
        let message = table.get(id(1).as_str()).unwrap_err().to_string();
        assert_eq!(message, format!("No such exec instance: {}", id(1)));
    }

    #[test]
    fn ended_execs_are_forgotten_in_time() {
        let table = ExecTable::default();
        let container = ContainerId::from_bytes([9; 32]);
        for number in 0..=ENDED_KEPT {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let id = ExecId::from_bytes(bytes);
            table.insert(id.clone(), container.clone(), CreateExec::default());
            table.ended(&table.get(id.as_str()).unwrap(), 0);
        }
        assert_eq!(table.lock().by_id.len(), ENDED_KEPT);
    }
}
