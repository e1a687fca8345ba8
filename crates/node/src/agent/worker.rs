//! The tasks this node holds, each with its runner: what the manager says goes in, what the
//! process before held is taken up.

use std::sync::{Arc, Mutex, PoisonError};

use shoal_cluster::agent::{Executor, Held, Work};
use shoal_cluster::dispatch::{AssignableId, AssignmentChange, AssignmentKind, Assignments};
use shoal_model::swarm::{Task, TaskState, TaskStatus};
use shoal_model::{Classify as _, TaskId};
use tokio_util::task::TaskTracker;

use super::holding::{Entry, Holding, State, uses_files};
use super::journal::{JournalFile, Kept, Record};
use super::{Agent, runner};
use crate::error::NodeError;

/// How long an ending agent waits for engine calls in progress. What they began is found again
/// after the restart.
const STOP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// The tasks this node holds, at work.
pub(super) struct Worker<E> {
    pub(super) holding: Arc<Holding<E>>,
    file: Mutex<JournalFile>,
    runners: TaskTracker,
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
            holding: Arc::new(Holding::new(agent, executor, held)),
            file: Mutex::new(file),
            runners: TaskTracker::new(),
        });
        worker.resume(kept);
        Ok(worker)
    }

    fn resume(self: &Arc<Self>, kept: std::collections::BTreeMap<TaskId, Kept>) {
        let mut state = self.holding.state();
        for (id, Kept { task, status }) in kept {
            let (Some(_), Some(work)) = (task, state.held.work(&id)) else { continue };
            let status = status.unwrap_or_else(|| work.task.status.clone());
            self.add(&mut state, id, work, status);
        }
    }

    /// Starts a runner for a task.
    fn add(self: &Arc<Self>, state: &mut State, id: TaskId, work: Work, status: TaskStatus) {
        let (entry, wanted) = Entry::new(work, status);
        state.entries.insert(id.clone(), entry);
        let worker = Arc::clone(self);
        self.runners.spawn(async move {
            if runner::run(&worker.holding, &id, wanted).await.is_ok() {
                worker.forget(&id);
            }
        });
    }

    /// Takes a message from the manager; `false` if one before it was lost.
    pub(super) fn take(self: &Arc<Self>, incoming: Incoming) -> bool {
        let Incoming { message, refused } = incoming;
        let complete = message.kind == AssignmentKind::Complete;
        let removed_ids = removed_tasks(&message);
        let mut state = self.holding.state();
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
            self.holding.journal.add(Record::Held(Arc::clone(&work.task)));
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
                entry.let_go();
            }
        }
        if complete {
            hand_out_files(&mut state);
        }
        true
    }

    fn refuse(&self, state: &mut State, id: TaskId, why: String) {
        tracing::info!(task = %id, why, "task refused");
        let mut status = TaskStatus::new(TaskState::Rejected, "refused", self.holding.clock.now());
        status.err = why;
        state.refused.insert(id.clone(), status.clone());
        self.holding.reporter.add(id, status);
    }

    /// The runner has removed the task. If the manager wants it again meanwhile, it starts anew.
    fn forget(self: &Arc<Self>, id: &TaskId) {
        let mut state = self.holding.state();
        state.entries.remove(id);
        self.holding.journal.add(Record::Gone(id.clone()));
        self.holding.reporter.forget(id);
        if let Some(work) = state.held.work(id) {
            self.holding.journal.add(Record::Held(Arc::clone(&work.task)));
            let status = first_status(&work.task);
            self.add(&mut state, id.clone(), work, status);
        }
    }

    /// Removes containers of tasks nobody ever told this node of, or no longer does.
    pub(super) async fn sweep(self: &Arc<Self>) {
        let known = match self.holding.executor.known_tasks().await {
            Ok(known) => known,
            Err(error) => {
                tracing::info!(%error, "cannot look for left-over containers");
                return;
            }
        };
        let stale: Vec<TaskId> = {
            let mut state = self.holding.state();
            let State { entries, swept, .. } = &mut *state;
            // A removal that does not succeed goes on from one session to the next.
            let stale = |id: &TaskId| !entries.contains_key(id) && swept.insert(id.clone());
            known.into_iter().filter(stale).collect()
        };
        for id in stale {
            tracing::info!(task = %id, "removing the container of a task this node does not hold");
            let holding = Arc::clone(&self.holding);
            self.runners.spawn(async move {
                runner::sweep(&holding, &id).await;
                holding.state().swept.remove(&id);
            });
        }
    }

    /// Writes the journal until the agent ends.
    pub(super) async fn keep_journal(self: &Arc<Self>) {
        loop {
            let ended = tokio::select! {
                () = self.holding.end.cancelled() => true,
                () = self.holding.journal.more() => false,
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
            worker.holding.journal.flush(&mut file)
        });
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(error = %error.chain(), "the journal of tasks cannot be written");
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

fn removed_tasks(message: &Assignments) -> Vec<TaskId> {
    let removed = |change: &AssignmentChange| match change {
        AssignmentChange::Remove(AssignableId::Task(id)) => Some(id.clone()),
        _ => None,
    };
    message.changes.iter().filter_map(removed).collect()
}
