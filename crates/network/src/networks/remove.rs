//! Removing a network: the kernel first, the file last, so that a crash in
//! between leaves a network that can be removed again.

use std::sync::Arc;

use super::{Networks, state::State};
use crate::{NetworkError, Result, firewall::apply::Wanted, spec::Network};
use shoal_model::Classify as _;

pub(super) async fn remove(networks: &Arc<Networks>, name_or_id: &str) -> Result<Arc<Network>> {
    let _turn = networks.changing.lock().await;
    let network = close(&mut networks.lock(), name_or_id)?;
    let unmade = unmake(networks, &network).await;
    match &unmade {
        Ok(()) => {
            networks.lock().networks.remove(&network.id);
        }
        Err(_) => reopen(networks, &network).await,
    }
    unmade.map(|()| network)
}

/// The network stays, and must be guarded as before.
async fn reopen(networks: &Networks, network: &Network) {
    let rules = {
        let mut state = networks.lock();
        if let Some(live) = state.networks.get_mut(&network.id) {
            live.leaving = false;
        }
        state.bridge_rules()
    };
    if let Err(error) = networks.firewall.follow(Wanted::Bridges(rules)).await {
        tracing::warn!(error = %error.chain(), network = network.id.short(), "rules of the network not put back");
    }
}

/// Lets nobody join any more, if nobody is in it.
fn close(state: &mut State, name_or_id: &str) -> Result<Arc<Network>> {
    let network = Arc::clone(&state.resolve(name_or_id)?.network);
    if network.is_predefined() {
        return Err(NetworkError::PredefinedRemove(network.name.clone()));
    }
    let members: Vec<_> = state
        .members(&network.id)
        .iter()
        .map(|(container, placed, _)| {
            format!("name:{:?} id:{:?}", placed.state.name, container.short())
        })
        .collect();
    if !members.is_empty() {
        return Err(NetworkError::ActiveEndpoints {
            network: network.name.clone(),
            endpoints: members.join(", "),
        });
    }
    if let Some(live) = state.networks.get_mut(&network.id) {
        live.leaving = true;
    }
    Ok(network)
}

async fn unmake(networks: &Arc<Networks>, network: &Network) -> Result<()> {
    let (rules, link) = {
        let state = networks.lock();
        let bridge = state.bridge(&network.id).map(|b| b.link.clone());
        (state.bridge_rules(), bridge)
    };
    networks.firewall.change(Wanted::Bridges(rules)).await?;
    if let Some(link) = link {
        let kernel = Arc::clone(&networks.kernel);
        networks.blocking(move || kernel.delete_link(&link)).await?;
    }
    let (this, id) = (Arc::clone(networks), network.id.clone());
    let store = networks.blocking(move || {
        let (forwarding, mut stored) = {
            let state = this.lock();
            (state.forwarding.clone(), state.stored())
        };
        stored.retain(|network| network.id != id);
        this.store.save(&forwarding, stored)
    });
    store.await
}
