//! The manager: a store, sessions, streams, and passes whose batches are
//! applied one by one, so that a restart can come between them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use shoal_cluster::dispatch::{
    Assignments, DispatchError, NodeFeed, Sessions, TaskReport, report_tasks,
};
use shoal_cluster::{Batch, Change, Command, CommandError, Event, Outcome, Rng, Store};
use shoal_cluster::{decide, pass};
use shoal_model::{SwarmNodeId, Timestamp};

use crate::test_cluster::{cluster, node};

/// Small, so that plans span several batches.
const BATCH: usize = 3;

pub(super) struct Manager {
    pub(super) store: Store,
    sessions: Sessions,
    feeds: BTreeMap<SwarmNodeId, NodeFeed>,
    rng: Rng,
    waiting: VecDeque<Batch>,
    events: Vec<Event>,
}

impl Manager {
    pub(super) fn new(nodes: &[String], seed: u64) -> Self {
        let mut changes = vec![Change::CreateCluster(Box::new(cluster()))];
        changes.extend(nodes.iter().map(|name| Change::CreateNode(Box::new(node(name)))));
        let mut store = Store::default();
        store.apply(Batch::new(crate::test_cluster::at(0), changes)).unwrap();
        Self {
            store,
            sessions: Sessions::default(),
            feeds: BTreeMap::new(),
            rng: Rng::from_seed(seed),
            waiting: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// Liveness, then a plan if the last one is done, then its batches; with
    /// `crash_after`, it restarts after so many batches.
    pub(super) fn tick(&mut self, now: Timestamp, crash_after: Option<u64>) -> Vec<Event> {
        let (late, changes) = self.sessions.expire(&self.store, now);
        for node in late {
            self.feeds.remove(&node);
        }
        self.apply(Batch::new(now, changes));
        let plan = pass(&self.store, now, &mut self.rng);
        let changes: Vec<_> = plan.steps.into_iter().map(|step| step.change).collect();
        self.waiting = changes.chunks(BATCH).map(|chunk| Batch::new(now, chunk.to_vec())).collect();
        let mut applied = 0;
        while let Some(batch) = self.waiting.pop_front() {
            if crash_after == Some(applied) {
                break;
            }
            self.apply(batch);
            applied += 1;
        }
        match crash_after {
            Some(_) => self.restart(now),
            None => self.check_settled(now),
        }
        self.take_events()
    }

    /// After a whole plan, another look at the same time finds nothing.
    fn check_settled(&mut self, now: Timestamp) {
        let mut last = String::new();
        for _ in 0..4 {
            let plan = pass(&self.store, now, &mut self.rng);
            if plan.is_empty() {
                return;
            }
            last = plan.text(&self.store);
            // A roll back is looked at again.
            for step in plan.steps {
                self.apply(Batch::new(now, vec![step.change]));
            }
        }
        let plan = pass(&self.store, now, &mut self.rng);
        panic!("passes do not settle:\n{last}then:\n{}", plan.text(&self.store));
    }

    /// What is in memory is gone; the store comes back from its snapshot.
    fn restart(&mut self, now: Timestamp) {
        let snapshot = serde_json::to_string(&self.store).unwrap();
        let store: Store = serde_json::from_str(&snapshot).unwrap();
        assert_eq!(store, self.store);
        self.store = store;
        self.waiting.clear();
        self.feeds.clear();
        let (sessions, changes) = Sessions::lead(&self.store, now);
        self.sessions = sessions;
        self.apply(Batch::new(now, changes));
    }

    fn apply(&mut self, batch: Batch) {
        if !batch.changes.is_empty() {
            let events = self.store.apply(batch).expect("tolerant changes");
            self.events.extend(events);
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn command(
        &mut self,
        command: Command,
        now: Timestamp,
    ) -> Result<Outcome, CommandError> {
        let decision = decide(&self.store, command, now, &mut self.rng)?;
        let events = self.store.apply(Batch::new(now, decision.changes))?;
        self.events.extend(events);
        Ok(decision.outcome)
    }

    pub(super) fn register(
        &mut self,
        node: &SwarmNodeId,
        now: Timestamp,
    ) -> Result<String, DispatchError> {
        let session =
            self.sessions.register(&self.store, node, None, "10.0.0.1", now, &mut self.rng)?;
        self.feeds.insert(node.clone(), NodeFeed::new(node.clone()));
        self.apply(Batch::new(now, session.changes));
        Ok(session.id.to_string())
    }

    pub(super) fn heartbeat(
        &mut self,
        node: &SwarmNodeId,
        session: &str,
        now: Timestamp,
    ) -> Result<Duration, DispatchError> {
        self.sessions.heartbeat(&self.store, node, session, now, &mut self.rng)
    }

    pub(super) fn assignments(
        &mut self,
        node: &SwarmNodeId,
        session: &str,
    ) -> Result<Vec<Assignments>, DispatchError> {
        self.sessions.check(node, session)?;
        let feed = self.feeds.get_mut(node).ok_or(DispatchError::WrongSession)?;
        Ok(feed.messages(&self.store))
    }

    pub(super) fn report(
        &mut self,
        node: &SwarmNodeId,
        session: &str,
        reports: Vec<TaskReport>,
        now: Timestamp,
    ) -> Result<(), DispatchError> {
        self.sessions.check(node, session)?;
        let changes = report_tasks(&self.store, node, reports, now)?;
        self.apply(Batch::new(now, changes));
        Ok(())
    }
}
