//! The leader's loop: looks at the whole cluster after anything that may matter, and has the
//! core's plan applied.
//!
//! Events only wake it; what to do follows from the state alone. So many events in a short time
//! cost one pass, and the slow full pass repairs whatever an event failed to tell.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use shoal_cluster::{Event, Object, Rng, pass};
use shoal_model::Timestamp;
use shoal_model::swarm::TaskState;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::Lead;
use crate::raft::{Consensus, RaftError};

/// A pass is followed by a pause of so many times its own duration: planning takes at most a
/// fifth of one processor, however fast things happen.
const REST_FACTOR: u32 = 4;

/// Pause before another try after the consensus refused.
const RETRY: Duration = Duration::from_millis(200);

pub(super) async fn run(lead: Arc<Lead>) {
    let mut events = lead.consensus.watch();
    let mut rng = Rng::from_seed(lead.rng().next_u64());
    let mut wake_at = Instant::now();
    loop {
        let changed = async {
            loop {
                match events.recv().await {
                    Ok(batch) if batch.iter().any(matters) => return true,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return false,
                }
            }
        };
        tokio::select! {
            () = lead.stop.cancelled() => return,
            open = changed => {
                if !open {
                    return;
                }
                tokio::time::sleep(lead.timers.pass_debounce).await;
            }
            () = tokio::time::sleep_until(wake_at) => {}
        }
        let began = Instant::now();
        let (next_rng, outcome) = one_pass(&lead, rng).await;
        rng = next_rng;
        wake_at = match outcome {
            Ok(deadline) => next_wake(&lead, deadline),
            Err(error) => {
                tracing::info!(%error, "pass was not applied");
                Instant::now() + RETRY
            }
        };
        tokio::time::sleep(lead.timers.pass_debounce.min(began.elapsed() * REST_FACTOR)).await;
    }
}

/// One pass; returns when the next is due by itself.
async fn one_pass(lead: &Arc<Lead>, mut rng: Rng) -> (Rng, Result<Option<Timestamp>, RaftError>) {
    let view = lead.consensus.local();
    let now = lead.clock.now();
    let fallback = rng.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let plan = pass(&view, now, &mut rng);
        if !plan.is_empty() && tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(plan = %plan.text(&view), "pass");
        }
        (rng, plan)
    });
    let (rng, plan) = match planned.await {
        Ok(done) => done,
        Err(error) => return (fallback, Err(RaftError::Stopped(error.to_string()))),
    };
    let deadline = plan.next_deadline;
    // Proposed in order and all at once: the log writes them together.
    let proposals = plan.into_batches(now).into_iter().map(|batch| lead.consensus.propose(batch));
    (rng, try_join_all(proposals).await.map(|_| deadline))
}

fn next_wake(lead: &Lead, deadline: Option<Timestamp>) -> Instant {
    let repair = lead.timers.full_pass_period;
    let now = lead.clock.now();
    let wait = deadline.map_or(repair, |time| time.since(now).min(repair));
    Instant::now() + wait
}

/// Whether a pass could answer to this event. The steps of a task on its way up are none of its
/// business; their number is what a scale-out consists of.
fn matters(event: &Event) -> bool {
    match event {
        Event::Updated { old: Object::Task(old), new: Object::Task(new) } => {
            let only_status = old.desired_state == new.desired_state && old.node_id == new.node_id;
            let on_its_way = matches!(
                new.status.state,
                TaskState::Accepted | TaskState::Preparing | TaskState::Starting
            );
            !(only_status && on_its_way)
        }
        Event::Created(Object::Task(_)) => false,
        Event::Created(_) | Event::Removed(_) | Event::Updated { .. } => true,
    }
}
