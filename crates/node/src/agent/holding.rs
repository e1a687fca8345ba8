//! What this node holds: its tasks, how far each has come, and the means to take them further.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_cluster::agent::{Held, Work};
use shoal_model::TaskId;
use shoal_model::swarm::{Task, TaskStatus};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Agent;
use super::journal::{Journal, Record};
use super::reporter::Reporter;
use crate::clock::Clock;
use crate::config::STOP_PARALLELISM;

/// What a runner is to do with its task.
#[derive(Clone)]
pub(super) enum Wanted {
    /// Bring it to its desired state.
    Run(Work),
    /// End and remove it.
    Gone,
}

/// What this node holds.
pub(super) struct Holding<E> {
    pub(super) executor: Arc<E>,
    pub(super) clock: Clock,
    pub(super) reporter: Reporter,
    pub(super) journal: Journal,
    /// Places for making containers, and for starting and removing them.
    pub(super) makes: Semaphore,
    pub(super) starts: Semaphore,
    /// Places for stopping them: most of that is waiting for the program to end.
    pub(super) stops: Semaphore,
    pub(super) end: CancellationToken,
    state: Mutex<State>,
}

/// What changes while the agent works.
pub(super) struct State {
    pub(super) held: Held,
    pub(super) entries: HashMap<TaskId, Entry>,
    /// Tasks that cannot run here at all, with the reason that was reported.
    pub(super) refused: HashMap<TaskId, TaskStatus>,
    /// Tasks nobody told this node of whose containers are being removed.
    pub(super) swept: HashSet<TaskId>,
    /// Whether a manager has told everything since this process began.
    pub(super) in_sync: bool,
}

/// A task and its runner.
pub(super) struct Entry {
    wanted: watch::Sender<Wanted>,
    /// What it last was to run, also while it is being removed.
    work: Work,
    status: TaskStatus,
}

impl Entry {
    /// The task, and its runner's ear.
    pub(super) fn new(work: Work, status: TaskStatus) -> (Self, watch::Receiver<Wanted>) {
        let (wanted, receiver) = watch::channel(Wanted::Run(work.clone()));
        (Self { wanted, work, status }, receiver)
    }

    /// Tells the runner what to run from now on.
    pub(super) fn want(&mut self, work: Work) {
        self.work = work.clone();
        self.wanted.send_replace(Wanted::Run(work));
    }

    /// Tells the runner to end and remove the task.
    pub(super) fn let_go(&self) {
        self.wanted.send_replace(Wanted::Gone);
    }
}

impl<E> Holding<E> {
    pub(super) fn new(agent: &Agent, executor: Arc<E>, held: Held) -> Self {
        Self {
            executor,
            clock: agent.clock,
            reporter: Reporter::default(),
            journal: Journal::default(),
            makes: Semaphore::new(agent.parallelism * 2),
            starts: Semaphore::new(agent.parallelism),
            stops: Semaphore::new(STOP_PARALLELISM),
            end: agent.stop.clone(),
            state: Mutex::new(State {
                held,
                entries: HashMap::new(),
                refused: HashMap::new(),
                swept: HashSet::new(),
                in_sync: false,
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a manager has told everything since this process began.
    pub(super) fn in_sync(&self) -> bool {
        self.state().in_sync
    }

    /// The status kept for a task.
    pub(super) fn status(&self, id: &TaskId) -> Option<TaskStatus> {
        self.state().entries.get(id).map(|entry| entry.status.clone())
    }

    /// What a task last was to run, also while it is being removed.
    pub(super) fn last_work(&self, id: &TaskId) -> Option<Work> {
        self.state().entries.get(id).map(|entry| entry.work.clone())
    }

    /// Keeps and reports a status.
    pub(super) fn set_status(&self, id: &TaskId, status: TaskStatus) {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(id) else { return };
        entry.status = status.clone();
        self.journal.add(Record::Status(id.clone(), status.clone()));
        self.reporter.add(id.clone(), status);
    }

    /// Everything is to be told again: the session is new.
    pub(super) fn report_all(&self) {
        let state = self.state();
        for (id, entry) in &state.entries {
            self.reporter.add(id.clone(), entry.status.clone());
        }
        for (id, status) in &state.refused {
            self.reporter.add(id.clone(), status.clone());
        }
    }

    /// The tasks held now that somebody wants.
    pub(super) fn tasks(&self, wanted: impl Fn(&Task) -> bool) -> Vec<Arc<Task>> {
        self.state().held.tasks().filter(|task| wanted(task)).cloned().collect()
    }
}

/// Whether the task needs secrets or configs, which are on no disk.
pub(super) fn uses_files(task: &Task) -> bool {
    !task.spec.container.secrets.is_empty() || !task.spec.container.configs.is_empty()
}
