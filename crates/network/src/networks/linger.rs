//! What a place leaves when the firewall could not be told of its end.
//!
//! A rule that is still in the kernel sends a port of the host to an address.
//! Whoever had that address next would get what is meant for the one before,
//! so neither the port nor the address is given out until the rule is gone.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use shoal_model::{Classify as _, NetworkId};

use super::Networks;
use crate::{firewall::apply::Wanted, ports::Reservation};

/// Before the rules are put a second time; doubled each time after that.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Ports and addresses nobody uses any more.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    pub(super) ports: Vec<Reservation>,
    pub(super) addresses: Vec<(NetworkId, Ipv4Addr)>,
}

impl Lingering {
    /// Lets others have them.
    pub(super) fn free(self, networks: &Networks) {
        // The ports first: who gets an address may want them, too.
        drop(self.ports);
        let mut state = networks.lock();
        for (network, address) in &self.addresses {
            state.free(network, *address);
        }
    }

    /// Lets others have them as soon as no rule leads there any more. A daemon
    /// that ends before leaves that to the next one, which begins with a table
    /// of its own.
    pub(super) fn free_when_closed(self, networks: &Arc<Networks>) {
        let stop = networks.stop.clone();
        let this = Arc::clone(networks);
        networks.tasks.spawn(stop.run_until_cancelled_owned(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                // What is wanted is known to the firewall already.
                let nothing = Wanted::Ports { open: Vec::new(), close: Vec::new() };
                match this.firewall.follow(nothing).await {
                    Ok(()) => break,
                    Err(error) => tracing::warn!(error = %error.chain(), "ports not closed yet"),
                }
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            self.free(&this);
        }));
    }
}
