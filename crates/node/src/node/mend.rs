//! Takes a membership up again that broke: its store stopped at an error of the disk, its
//! manager's certificate has expired, or it could not be taken up when the daemon started.
//! Whatever was in the way may be gone by now.

use std::time::Duration;

use shoal_model::Classify as _;
use tokio_util::sync::CancellationToken;

use super::{Node, Place};
use crate::clock::Clock;
use crate::pki::Identity;

/// Between two looks at the membership; also before the first try.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Longest pause between two tries, which double: a full disk is noticed soon after it was
/// cleared, and the log of a node nobody looks after stays short.
const RETRY_MAX: Duration = Duration::from_secs(60);

impl Node {
    /// Looks after the membership until `stop`.
    pub async fn mend(&self, stop: CancellationToken) {
        let mut pause = LOOK_AGAIN;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if self.fault().is_none() {
                pause = LOOK_AGAIN;
                continue;
            }
            self.take_up_again().await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Why the membership does not work, if it is not for the other nodes' sake.
    fn fault(&self) -> Option<String> {
        match &*self.place() {
            Place::Inactive | Place::Joining(_) => None,
            Place::Broken(why) => Some(why.clone()),
            Place::Member(member) => {
                // Nobody but a manager can give a worker what it needs.
                let consensus = &member.manager.as_ref()?.lead.consensus;
                let stopped = consensus.fault().map(|why| format!("its store has stopped: {why}"));
                stopped.or_else(|| expired(&member.credentials.current().identity, &self.clock))
            }
        }
    }

    async fn take_up_again(&self) {
        let _changing = self.changing.lock().await;
        // Whoever changed the place meanwhile has mended it.
        let Some(why) = self.fault() else { return };
        let place = std::mem::replace(&mut *self.place(), Place::Broken(why.clone()));
        if let Place::Member(_) = place {
            tracing::error!(why, "the manager does not work any more; taking it up again");
        }
        self.quit(place).await;
        if let Err(error) = self.resume().await {
            tracing::error!(error = %error.chain(), "this node's membership cannot be read");
        }
    }
}

/// Why a manager's certificate is of no use any more: it slept, or none was given to it in time.
/// Taken up again it gives itself the next, with the root's key.
fn expired(identity: &Identity, clock: &Clock) -> Option<String> {
    let (_, end) = identity.validity();
    identity.expired(clock.now()).then(|| format!("its certificate has expired on {end}"))
}
