//! A node: its agent, its containers, and its line to the manager.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shoal_cluster::Rng;
use shoal_cluster::agent::{Action, Done, ExecutorError, Exit, Held, Observation, finish, next};
use shoal_cluster::dispatch::TaskReport;
use shoal_model::swarm::{ContainerStatus, Task, TaskState, TaskStatus};
use shoal_model::{SwarmNodeId, TaskId, Timestamp};

use super::{Faults, manager::Manager};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    Made,
    Running,
    Ended(i32),
}

/// Something that takes time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    action: Action,
    done_at: Timestamp,
}

pub(super) struct Agent {
    node: SwarmNodeId,
    held: Held,
    statuses: BTreeMap<TaskId, TaskStatus>,
    pub(super) containers: BTreeMap<TaskId, Container>,
    jobs: BTreeMap<TaskId, Job>,
    unreported: BTreeSet<TaskId>,
    session: Option<String>,
    next_heartbeat: Timestamp,
    next_try: Timestamp,
    cut_until: Timestamp,
}

impl Agent {
    pub(super) fn new(node: SwarmNodeId) -> Self {
        Self {
            node,
            held: Held::default(),
            statuses: BTreeMap::new(),
            containers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            unreported: BTreeSet::new(),
            session: None,
            next_heartbeat: Timestamp::default(),
            next_try: Timestamp::default(),
            cut_until: Timestamp::default(),
        }
    }

    pub(super) fn cut_until(&mut self, time: Timestamp) {
        self.cut_until = time;
    }

    pub(super) fn lose_session(&mut self) {
        self.session = None;
    }

    /// The daemon restarts: it knows again what it kept on disk.
    pub(super) fn restart_daemon(&mut self) {
        self.session = None;
        self.jobs.clear();
        let tasks: Vec<Task> = self.held.tasks().map(|task| Task::clone(task)).collect();
        self.held = Held::restore(tasks, [], []);
        self.unreported = self.statuses.keys().cloned().collect();
    }

    pub(super) fn lose_power(&mut self) {
        self.restart_daemon();
        for container in self.containers.values_mut() {
            if *container == Container::Running {
                *container = Container::Ended(255);
            }
        }
    }

    pub(super) fn tick(
        &mut self,
        manager: &mut Manager,
        now: Timestamp,
        rng: &mut Rng,
        faults: &Faults,
    ) {
        if now >= self.cut_until && self.talk(manager, now, rng).is_err() {
            self.session = None;
        }
        for container in self.containers.values_mut() {
            if *container == Container::Running && rng.below(1000) < faults.crash {
                *container = Container::Ended(rng.below(2) as i32);
            }
        }
        let tasks: Vec<_> = self.held.tasks().cloned().collect();
        for task in tasks {
            self.drive(&task, now, rng, faults);
        }
    }

    /// Session, heartbeat, assignments, reports.
    fn talk(
        &mut self,
        manager: &mut Manager,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<(), shoal_cluster::dispatch::DispatchError> {
        let session = match self.session.clone() {
            Some(session) => session,
            None if now < self.next_try => return Ok(()),
            None => {
                self.next_try = now + Duration::from_secs(1 + rng.below(4));
                let session = manager.register(&self.node, now)?;
                self.session = Some(session.clone());
                self.next_heartbeat = now;
                self.unreported = self.statuses.keys().cloned().collect();
                session
            }
        };
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + manager.heartbeat(&self.node, &session, now)?;
        }
        for message in manager.assignments(&self.node, &session)? {
            let applied = self.held.apply(message).expect("a stream loses nothing");
            for id in applied.removed {
                self.statuses.remove(&id);
                self.jobs.remove(&id);
                self.containers.remove(&id);
                self.unreported.remove(&id);
            }
        }
        // Now and then reports wait for the next turn.
        if !self.unreported.is_empty() && rng.chance(70) {
            let reports = self
                .unreported
                .iter()
                .filter_map(|id| Some((id, self.statuses.get(id)?)))
                .map(|(id, status)| TaskReport { task: id.clone(), status: status.clone() })
                .collect();
            manager.report(&self.node, &session, reports, now)?;
            self.unreported.clear();
        }
        Ok(())
    }

    /// Asks what the task needs, and does it; several quick steps at once.
    fn drive(&mut self, task: &Task, now: Timestamp, rng: &mut Rng, faults: &Faults) {
        for _ in 0..8 {
            let status =
                self.statuses.entry(task.id.clone()).or_insert_with(|| task.status.clone()).clone();
            let after = match next(task, &status, now) {
                Action::Idle => return,
                Action::Report(status) => Some(status),
                Action::Wait => match self.containers.get(&task.id) {
                    Some(Container::Running) => return,
                    Some(Container::Ended(code)) => {
                        let exit = Exit { code: *code, cause: None };
                        finish(&status, Done::Exited(Ok((exit, None))), now)
                    }
                    other => panic!("{} waits for {other:?}", task.name()),
                },
                action => {
                    let Some(done) = self.work_on(task, action, now, rng, faults) else { return };
                    finish(&status, done, now)
                }
            };
            if let Some(after) = after {
                assert!(status.state.may_become(after.state));
                self.statuses.insert(task.id.clone(), after);
                self.unreported.insert(task.id.clone());
            }
        }
    }

    /// Starts the action, or sees whether it is done.
    fn work_on(
        &mut self,
        task: &Task,
        action: Action,
        now: Timestamp,
        rng: &mut Rng,
        faults: &Faults,
    ) -> Option<Done> {
        let takes = Duration::from_millis(rng.below(2500));
        let job = self
            .jobs
            .entry(task.id.clone())
            .or_insert_with(|| Job { action: action.clone(), done_at: now + takes });
        if job.action != action {
            // The task was to be shut down in the meantime.
            *job = Job { action: action.clone(), done_at: now + takes };
        }
        if job.done_at > now {
            return None;
        }
        self.jobs.remove(&task.id);
        let refused = rng.below(1000) < faults.refuse;
        let error = || ExecutorError::Fatal("No such image: image:1".to_owned());
        let container = self.containers.get(&task.id).copied();
        Some(match action {
            Action::Prepare if refused => Done::Prepared(Err(error())),
            Action::Prepare => {
                self.containers.entry(task.id.clone()).or_insert(Container::Made);
                Done::Prepared(Ok(()))
            }
            Action::Start if refused => Done::Started(Err(error())),
            Action::Start => {
                if container == Some(Container::Made) {
                    self.containers.insert(task.id.clone(), Container::Running);
                }
                let container = ContainerStatus { container_id: task.name(), pid: 1, exit_code: 0 };
                Done::Started(Ok(Some(Observation { container, ports: Vec::new() })))
            }
            Action::Shutdown => {
                if let Some(container) = self.containers.get_mut(&task.id) {
                    *container = Container::Ended(0);
                }
                Done::ShutDown(Ok(None))
            }
            other => panic!("not a job: {other:?}"),
        })
    }

    /// Tasks whose containers run here.
    pub(super) fn running(&self) -> impl Iterator<Item = &TaskId> {
        let runs = |(_, container): &(&TaskId, &Container)| **container == Container::Running;
        self.containers.iter().filter(runs).map(|(id, _)| id)
    }

    /// Whether it has told the manager all it knows.
    pub(super) fn is_quiet(&self) -> bool {
        self.session.is_some() && self.unreported.is_empty() && self.jobs.is_empty()
    }

    pub(super) fn state_of(&self, task: &TaskId) -> Option<TaskState> {
        self.statuses.get(task).map(|status| status.state)
    }
}
