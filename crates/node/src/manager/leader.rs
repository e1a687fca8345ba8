//! The leader's loop: looks at the whole cluster after anything that may matter, and has the
//! core's plan applied.
//!
//! Events only wake it; what to do follows from the state alone. So many events in a short time
//! cost one pass, and the slow full pass repairs whatever an event failed to tell.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use shoal_cluster::{Event, Object, Rng, pass};
use shoal_model::swarm::TaskState;
use shoal_model::{Classify as _, Timestamp};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::Lead;
use crate::raft::{Consensus, RaftError};

/// A pass is followed by a pause of so many times what planning took: that costs at most a
/// fifth of one processor, however fast things happen.
const REST_FACTOR: u32 = 4;

/// Longest pause after a pass: where planning takes more than a quarter of this, an answer in
/// time is worth more than the processor.
const REST_MAX: Duration = Duration::from_millis(200);

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
        let Passed { rng: next_rng, planning, outcome } = one_pass(&lead, rng).await;
        rng = next_rng;
        wake_at = match outcome {
            Ok(deadline) => next_wake(&lead, deadline),
            Err(error) => {
                tracing::info!(error = %error.chain(), "pass was not applied");
                Instant::now() + RETRY
            }
        };
        tokio::select! {
            () = lead.stop.cancelled() => return,
            () = tokio::time::sleep(rest_after(planning)) => {}
        }
    }
}

/// How long to rest after a pass whose planning took so long.
fn rest_after(planning: Duration) -> Duration {
    planning.saturating_mul(REST_FACTOR).min(REST_MAX)
}

/// What came of a pass.
struct Passed {
    rng: Rng,
    /// How long the core planned; the time proposals take is no work of this node's processor.
    planning: Duration,
    /// When the next pass is due by itself.
    outcome: Result<Option<Timestamp>, RaftError>,
}

/// One pass.
async fn one_pass(lead: &Arc<Lead>, mut rng: Rng) -> Passed {
    let view = lead.consensus.local();
    let now = lead.clock.now();
    let fallback = rng.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        let plan = pass(&view, now, &mut rng);
        let planning = began.elapsed();
        if !plan.is_empty() && tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!(plan = %plan.text(&view), "pass");
        }
        (rng, plan, planning)
    });
    let (rng, plan, planning) = match planned.await {
        Ok(done) => done,
        Err(error) => {
            let outcome = Err(RaftError::Stopped(error.to_string()));
            return Passed { rng: fallback, planning: Duration::ZERO, outcome };
        }
    };
    let deadline = plan.next_deadline;
    // Proposed in order and all at once: the log writes them together.
    let proposals = plan.into_batches(now).into_iter().map(|batch| lead.consensus.propose(batch));
    Passed { rng, planning, outcome: try_join_all(proposals).await.map(|_| deadline) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planning_takes_a_fifth_of_the_time_unless_an_answer_is_late() {
        let ms = Duration::from_millis;
        assert_eq!(rest_after(ms(0)), ms(0));
        assert_eq!(rest_after(ms(10)), ms(40));
        assert_eq!(rest_after(ms(500)), REST_MAX);
    }
}
