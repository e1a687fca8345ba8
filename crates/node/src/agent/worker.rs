//! The tasks this node holds, each with its runner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_cluster::agent::{Executor, Held, Work};
use shoal_cluster::dispatch::{AssignableId, AssignmentChange, AssignmentKind, Assignments};
use shoal_model::TaskId;
use shoal_model::swarm::{Task, TaskState, TaskStatus};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::journal::{Journal, JournalFile, Kept, Record};
use super::reporter::Reporter;
use super::{Agent, runner};
use crate::clock::Clock;
use crate::config::STOP_PARALLELISM;
use crate::error::NodeError;

/// How long an ending agent waits for engine calls in progress. What they began is found again
/// after the restart.
const STOP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// What a runner is to do with its task.
#[derive(Clone)]
pub(super) enum Wanted {
    /// Bring it to its desired state.
    Run(Work),
    /// End and remove it.
    Gone,
}

/// The tasks this node holds.
pub(super) struct Worker<E> {
    pub(super) executor: Arc<E>,
    pub(super) clock: Clock,
    pub(super) reporter: Reporter,
    /// Places for making containers, and for starting and removing them.
    pub(super) makes: Semaphore,
    pub(super) starts: Semaphore,
    /// Places for stopping them: most of that is waiting for the program to end.
    pub(super) stops: Semaphore,
    pub(super) end: CancellationToken,
    state: Mutex<State>,
    journal: Journal,
    file: Mutex<JournalFile>,
    runners: TaskTracker,
}

struct State {
    held: Held,
    entries: HashMap<TaskId, Entry>,
    /// Tasks that cannot run here at all, with the reason that was reported.
    refused: HashMap<TaskId, TaskStatus>,
    /// Whether a manager has told everything since this process began.
    in_sync: bool,
}

struct Entry {
    wanted: watch::Sender<Wanted>,
    /// What it last was to run, also while it is being removed.
    work: Work,
    status: TaskStatus,
}

impl Entry {
    fn want(&mut self, work: Work) {
        self.work = work.clone();
        self.wanted.send_replace(Wanted::Run(work));
    }
}

/// A message from the manager, and the tasks in it that made no sense.
pub(super) struct Incoming {
    pub(super) message: Assignments,
    pub(super) refused: Vec<(TaskId, String)>,
}

impl<E: Executor> Worker<E> {
    /// Takes up the tasks of the process before. Their containers ran on.
    pub(super) async fn open(agent: &Agent, executor: Arc<E>) -> Result<Arc<Self>, NodeError> {
        let path = agent.dir.join("tasks.journal");
        let file = tokio::task::spawn_blocking(move || JournalFile::open(path))
            .await
            .map_err(|_| NodeError::Stopping)??;
        let kept = file.kept().clone();
        let tasks = kept.values().filter_map(|kept| kept.task.as_deref().cloned());
        let held = Held::restore(tasks, [], []);
        let worker = Arc::new(Self {
            executor,
            clock: agent.clock,
            reporter: Reporter::default(),
            makes: Semaphore::new(agent.parallelism * 2),
            starts: Semaphore::new(agent.parallelism),
            stops: Semaphore::new(STOP_PARALLELISM),
            end: agent.stop.clone(),
            state: Mutex::new(State {
                held,
                entries: HashMap::new(),
                refused: HashMap::new(),
                in_sync: false,
            }),
            journal: Journal::default(),
            file: Mutex::new(file),
            runners: TaskTracker::new(),
        });
        worker.resume(kept);
        Ok(worker)
    }

    fn resume(self: &Arc<Self>, kept: std::collections::BTreeMap<TaskId, Kept>) {
        let mut state = self.state();
        for (id, Kept { task, status }) in kept {
            let (Some(_), Some(work)) = (task, state.held.work(&id)) else { continue };
            let status = status.unwrap_or_else(|| work.task.status.clone());
            self.add(&mut state, id, work, status);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a runner for a task.
    fn add(self: &Arc<Self>, state: &mut State, id: TaskId, work: Work, status: TaskStatus) {
        let (wanted, receiver) = watch::channel(Wanted::Run(work.clone()));
        state.entries.insert(id.clone(), Entry { wanted, work, status });
        self.runners.spawn(runner::run(Arc::clone(self), id, receiver));
    }

    /// Takes a message from the manager; `false` if one before it was lost.
    pub(super) fn take(self: &Arc<Self>, incoming: Incoming) -> bool {
        let Incoming { message, refused } = incoming;
        let complete = message.kind == AssignmentKind::Complete;
        let removed_ids = removed_tasks(&message);
        let mut state = self.state();
        let Ok(applied) = state.held.apply(message) else { return false };
        if complete {
            state.refused.clear();
            state.in_sync = true;
        }
        for id in removed_ids {
            state.refused.remove(&id);
        }
        for (id, why) in refused {
            self.refuse(&mut state, id, why);
        }
        for id in applied.changed {
            let Some(work) = state.held.work(&id) else { continue };
            self.journal.add(Record::Held(Arc::clone(&work.task)));
            match state.entries.get_mut(&id) {
                Some(entry) => entry.want(work),
                None => {
                    let status = first_status(&work.task);
                    self.add(&mut state, id, work, status);
                }
            }
        }
        for id in applied.removed {
            if let Some(entry) = state.entries.get(&id) {
                entry.wanted.send_replace(Wanted::Gone);
            }
        }
        if complete {
            hand_out_files(&mut state);
        }
        true
    }

    fn refuse(&self, state: &mut State, id: TaskId, why: String) {
        tracing::info!(task = %id, why, "task refused");
        let mut status = TaskStatus::new(TaskState::Rejected, "refused", self.clock.now());
        status.err = why;
        state.refused.insert(id.clone(), status.clone());
        self.reporter.add(id, status);
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

    /// The runner has removed the task. If the manager wants it again meanwhile, it starts anew.
    pub(super) fn forget(self: &Arc<Self>, id: &TaskId) {
        let mut state = self.state();
        state.entries.remove(id);
        self.journal.add(Record::Gone(id.clone()));
        self.reporter.forget(id);
        if let Some(work) = state.held.work(id) {
            self.journal.add(Record::Held(Arc::clone(&work.task)));
            let status = first_status(&work.task);
            self.add(&mut state, id.clone(), work, status);
        }
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

    /// The tasks held now.
    pub(super) fn tasks(&self) -> Vec<Arc<Task>> {
        self.state().held.tasks().cloned().collect()
    }

    /// Removes containers of tasks nobody ever told this node of, or no longer does.
    pub(super) async fn sweep(self: &Arc<Self>) {
        let known = match self.executor.known_tasks().await {
            Ok(known) => known,
            Err(error) => {
                tracing::info!(%error, "cannot look for left-over containers");
                return;
            }
        };
        let stale: Vec<TaskId> = {
            let state = self.state();
            known.into_iter().filter(|id| !state.entries.contains_key(id)).collect()
        };
        for id in stale {
            tracing::info!(task = %id, "removing the container of a task this node does not hold");
            let worker = Arc::clone(self);
            self.runners.spawn(async move { runner::sweep(&worker, &id).await });
        }
    }

    /// Writes the journal until the agent ends.
    pub(super) async fn keep_journal(self: &Arc<Self>) {
        loop {
            let ended = tokio::select! {
                () = self.end.cancelled() => true,
                () = self.journal.more() => false,
            };
            self.flush().await;
            if ended {
                return;
            }
        }
    }

    async fn flush(self: &Arc<Self>) {
        let worker = Arc::clone(self);
        let flushed = tokio::task::spawn_blocking(move || {
            let mut file = worker.file.lock().unwrap_or_else(PoisonError::into_inner);
            worker.journal.flush(&mut file)
        });
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "the journal of tasks cannot be written");
        }
    }

    /// Waits for the runners, which end by themselves now, and writes what is left.
    pub(super) async fn stop(self: &Arc<Self>) {
        self.runners.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.runners.wait()).await.is_err() {
            tracing::debug!("tasks were still being stopped when the agent ended");
        }
        self.flush().await;
    }
}

/// After a restart, tasks wait for their secrets and configs, which are on no disk.
fn hand_out_files(state: &mut State) {
    for (id, entry) in &mut state.entries {
        if let Some(work) = state.held.work(id)
            && uses_files(&work.task)
        {
            entry.want(work);
        }
    }
}

/// Where a task's steps begin: before the first, or where another manager saw it end.
fn first_status(task: &Task) -> TaskStatus {
    task.status.clone()
}

pub(super) fn uses_files(task: &Task) -> bool {
    !task.spec.container.secrets.is_empty() || !task.spec.container.configs.is_empty()
}

fn removed_tasks(message: &Assignments) -> Vec<TaskId> {
    let removed = |change: &AssignmentChange| match change {
        AssignmentChange::Remove(AssignableId::Task(id)) => Some(id.clone()),
        _ => None,
    };
    message.changes.iter().filter_map(removed).collect()
}
