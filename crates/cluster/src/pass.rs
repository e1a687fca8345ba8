//! One pass over one snapshot: what the cluster should do now.
//!
//! ```text
//! for each service:  end ─ restart ─ scale ─ update ─ promote ─ reap
//! then:              forget what belongs to nothing ─ schedule
//! ```
//!
//! Level-triggered: a pass looks at the state alone, never at what happened.
//! It may run at any time, as often as one likes; on a settled state it plans
//! nothing. Whatever must outlive a leader (a delay that runs, failures
//! counted in an update) is in the stored objects. Must not know: clocks,
//! sessions, consensus.

use shoal_model::Timestamp;
use shoal_model::swarm::ServiceMode;

use crate::plan::{Plan, Work};
use crate::{Rng, orchestrate, schedule, store::Store};

/// What the cluster should do now.
///
/// The caller applies the plan's changes in order, in batches of any size,
/// and runs the next pass only on a state that holds them: two plans made
/// from the same state would both fill the same gap. Losing the rest of a
/// plan between two batches does no harm.
pub fn pass(view: &Store, now: Timestamp, rng: &mut Rng) -> Plan {
    let mut work = Work::new(view, now, rng);
    orchestrate::orphan::run(&mut work);
    let services: Vec<_> = view.services().cloned().collect();
    for service in &services {
        match service.spec.mode {
            ServiceMode::Replicated { replicas } => {
                orchestrate::replicated::run(&mut work, service, replicas);
            }
            ServiceMode::Global => orchestrate::global::run(&mut work, service),
            // Refused when the service is created.
            ServiceMode::ReplicatedJob { .. } | ServiceMode::GlobalJob => {}
        }
    }
    orchestrate::reap::without_service(&mut work);
    schedule::run(&mut work);
    work.finish()
}
