//! What workers report about their tasks, many reports in one proposal.
//!
//! While one proposal is on its way to the disk, the next one fills up: a lonely report is not
//! held back, and hundreds share one fsync.

use std::sync::Arc;

use shoal_cluster::Batch;
use shoal_cluster::dispatch::{DispatchError, TaskReport, report_tasks};
use shoal_cluster::store::MAX_CHANGES_PER_BATCH;
use shoal_model::{Classify as _, SwarmNodeId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tonic::Status;

use super::Lead;
use super::status::refusal;
use crate::raft::Consensus;

/// Calls waiting to be taken up; callers wait when it is full.
pub(super) const QUEUE: usize = 1024;

/// One call of a worker.
pub(super) struct Report {
    pub(super) node: SwarmNodeId,
    pub(super) reports: Vec<TaskReport>,
    pub(super) done: oneshot::Sender<Result<(), Status>>,
}

pub(super) async fn run(lead: Arc<Lead>, mut queue: mpsc::Receiver<Report>) {
    let mut last = Instant::now();
    loop {
        let first = tokio::select! {
            () = lead.stop.cancelled() => return,
            report = queue.recv() => match report {
                Some(report) => report,
                None => return,
            },
        };
        // Reports come in bursts: within one, a moment's patience fills the proposal.
        if last.elapsed() < lead.timers.status_window {
            tokio::time::sleep(lead.timers.status_window).await;
        }
        let mut calls = vec![first];
        let mut size = calls[0].reports.len();
        while size < MAX_CHANGES_PER_BATCH {
            let Ok(report) = queue.try_recv() else { break };
            size += report.reports.len();
            calls.push(report);
        }
        take(&lead, calls).await;
        last = Instant::now();
    }
}

async fn take(lead: &Lead, calls: Vec<Report>) {
    let now = lead.clock.now();
    let view = lead.consensus.local();
    let mut changes = Vec::new();
    let mut waiting = Vec::with_capacity(calls.len());
    for Report { node, reports, done } in calls {
        match report_tasks(&view, &node, reports, now) {
            Ok(more) => {
                changes.extend(more);
                waiting.push(done);
            }
            // A caller that has gone needs no answer; so below, too.
            Err(error) => drop(done.send(Err(refusal(&error)))),
        }
    }
    let mut outcome = Ok(());
    for batch in Batch::split(now, changes) {
        if let Err(error) = lead.consensus.propose(batch).await {
            tracing::debug!(error = %error.chain(), "task reports were not taken");
            outcome = Err(refusal(&DispatchError::NotLeader));
            break;
        }
    }
    for done in waiting {
        drop(done.send(outcome.clone()));
    }
}
