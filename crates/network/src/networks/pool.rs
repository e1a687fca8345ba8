//! Ready namespaces for the default bridge, made in the background, so that a
//! starting container does not wait for the kernel's network lock.
//!
//! A ready namespace has its address already. It is nobody's until it is taken
//! from here; dropping it is all it takes to be rid of it.

use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use shoal_model::{Classify as _, NetworkId};
use tokio::sync::Notify;

use super::{Networks, claim, kernel::Step};
use crate::{
    Result,
    link::{name, plan::EndpointPlan},
    mac::MacAddr,
};

/// How long links of containers that ended may linger: a process somewhere may
/// still be in the namespace.
const LINGER: Duration = Duration::from_secs(2);

/// The ready namespaces, and the links that are to go.
#[derive(Debug)]
pub(super) struct Pool {
    ready: Mutex<VecDeque<Ready>>,
    size: usize,
    taken: Notify,
    leaving: Mutex<Vec<String>>,
    left: Notify,
}

/// A namespace with an endpoint on the default bridge.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) namespace: OwnedFd,
    pub(super) endpoint_id: String,
    pub(super) network: NetworkId,
    pub(super) ipv4: Ipv4Addr,
}

impl Pool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            ready: Mutex::default(),
            size,
            taken: Notify::new(),
            leaving: Mutex::default(),
            left: Notify::new(),
        }
    }

    /// The oldest ready namespace.
    pub(super) fn take(&self) -> Option<Ready> {
        let ready = self.lock().pop_front();
        if ready.is_some() {
            self.taken.notify_one();
        }
        ready
    }

    /// Drops all of them.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Sees to it that these links go away, if they do not by themselves.
    pub(super) fn sweep_later(&self, links: Vec<String>) {
        if !links.is_empty() {
            self.leaving.lock().unwrap_or_else(|e| e.into_inner()).extend(links);
            self.left.notify_one();
        }
    }

    fn lacking(&self) -> usize {
        self.size.saturating_sub(self.lock().len())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Ready>> {
        self.ready.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Starts filling and sweeping.
pub(super) fn start(networks: &Arc<Networks>) {
    let until_stop = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
        let stop = networks.stop.clone();
        networks.tasks.spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    };
    until_stop(Box::pin(fill(Arc::clone(networks))));
    until_stop(Box::pin(sweep(Arc::clone(networks))));
}

async fn fill(networks: Arc<Networks>) {
    loop {
        // One at a time: containers that start now come first.
        while networks.pool.lacking() > 0 {
            if let Err(error) = add_one(&networks).await {
                // No address or port left: there will be when something goes,
                // and then something is taken or swept.
                tracing::debug!(error = %error.chain(), "no ready namespace made");
                break;
            }
        }
        networks.pool.taken.notified().await;
    }
}

async fn add_one(networks: &Arc<Networks>) -> Result<()> {
    let endpoint_id = claim::new_endpoint_id()?;
    let (network, ipv4, step) = {
        let mut state = networks.lock();
        let id = state.resolve("bridge")?.network.id.clone();
        let ipv4 = claim::any_address(&mut state, &id)?;
        let bridge = state.bridge(&id).cloned();
        let bridge = bridge.ok_or_else(|| crate::NetworkError::NotFound("bridge".into()))?;
        let plan = EndpointPlan {
            link: name::container_end(0),
            host_link: name::host_end(&endpoint_id),
            mac: MacAddr::for_ipv4(ipv4),
            ipv4,
            default_route: Some(bridge.gateway),
        };
        (id, ipv4, Step { network_name: "bridge".into(), bridge, plan })
    };
    let built = networks.build(vec![step], false).await;
    match built {
        Ok(built) => {
            let ready = Ready { namespace: built.namespace, endpoint_id, network, ipv4 };
            networks.pool.lock().push_back(ready);
            Ok(())
        }
        Err(error) => {
            networks.lock().free(&network, ipv4);
            Err(error)
        }
    }
}

async fn sweep(networks: Arc<Networks>) {
    loop {
        networks.pool.left.notified().await;
        tokio::time::sleep(LINGER).await;
        let links =
            std::mem::take(&mut *networks.pool.leaving.lock().unwrap_or_else(|e| e.into_inner()));
        let kernel = Arc::clone(&networks.kernel);
        let swept = networks.blocking(move || {
            for link in links.iter().filter(|link| kernel.has_link(link)) {
                // One that stays is no reason for the others to.
                if let Err(error) = kernel.delete_link(link) {
                    tracing::warn!(error = %error.chain(), link, "link of an ended container not removed");
                }
            }
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::debug!(error = %error.chain(), "links of ended containers not looked for");
        }
        networks.pool.taken.notify_one();
    }
}
