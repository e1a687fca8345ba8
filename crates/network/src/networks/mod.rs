//! The networks of a node and the sandboxes in them.
//!
//! One lock guards the tables ([`State`]) and is held only for lookups and
//! bookkeeping, never over a system call that waits or an await. Whatever is
//! done to one container is done in turn; making and removing networks is done
//! in turn, too.

mod adopt;
mod claim;
mod connect;
mod create;
mod disconnect;
mod inspect;
mod kernel;
mod linger;
mod open;
mod pool;
mod release;
mod remove;
mod sandbox;
mod state;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use shoal_model::{ContainerId, NetworkId, Timestamp};
use tokio::sync::{MutexGuard as AsyncMutexGuard, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{claim::Asker, kernel::Kernel, pool::Pool, state::State};
use crate::{
    Result,
    config::NetworkConfig,
    dns::{
        files::HostResolver,
        names::{Names, Owner},
        server::Resolver,
    },
    firewall::apply::{Firewall, Wanted},
    ports::PortTable,
    request::{EndpointRequest, SandboxRequest},
    spec::{CreateNetwork, Network},
    state::{EndpointState, NetworkView, Sandbox, SandboxState},
    store::Store,
    sysctl,
};

/// Containers are dealt out to so many locks; two that share one wait for each
/// other now and then.
const TURNS: usize = 64;

/// Namespaces made at a time. Most of the work is under one lock of the kernel,
/// so more would only wait there.
const BUILDERS: usize = 4;

/// The networks of a node. Cheap calls (`list`, `inspect`, `state`) are plain
/// functions; what touches the kernel is async and does its blocking work on
/// tokio's blocking threads. A call that is cancelled is finished in the
/// background: [`Networks::release`] then undoes it.
///
/// Order at start: [`Networks::open`], [`Networks::adopt`] for every container
/// that still runs, [`Networks::warm`], then sandboxes.
pub struct Networks {
    config: NetworkConfig,
    store: Store,
    state: Mutex<State>,
    kernel: Arc<Kernel>,
    firewall: Firewall,
    ports: Arc<PortTable>,
    names: Arc<Names>,
    resolver: Arc<Resolver>,
    pool: Pool,
    /// Held while a network is made or removed.
    changing: tokio::sync::Mutex<()>,
    /// Held while something is done to a container.
    turns: [tokio::sync::Mutex<()>; TURNS],
    deal: RandomState,
    builders: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Networks {
    /// Opens the networks stored under `root` and brings bridges and kernel
    /// settings to what they should be (after a reboot: from nothing). Must be
    /// called inside a tokio runtime, in the node's network namespace.
    ///
    /// # Errors
    /// When a stored network cannot be read or the kernel refuses.
    pub async fn open(root: &Path, config: NetworkConfig) -> Result<Arc<Self>> {
        open::open(root, config).await
    }

    /// Puts the firewall in place, lets the node forward packets, and starts the background work
    /// (filling the pool of ready namespaces). Call it after every running container was
    /// adopted: until then the rules of an earlier daemon stay, so that
    /// published ports are never closed, and no ready namespace can take the
    /// address of a container that runs.
    ///
    /// # Errors
    /// When `nft` is missing or refuses.
    pub async fn warm(self: &Arc<Self>) -> Result<()> {
        self.firewall.change(Wanted::Ports { open: Vec::new(), close: Vec::new() }).await?;
        // Not before the table: without it, the node would forward for everybody.
        self.blocking(sysctl::enable_forwarding).await?;
        pool::start(self);
        Ok(())
    }

    /// Stops background work and closes every socket; sandboxes stay as they
    /// are, for the next [`Networks::open`] to adopt.
    pub async fn close(&self) {
        self.stop.cancel();
        self.firewall.close();
        self.pool.clear();
        self.lock().forget_sockets();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Makes a network.
    ///
    /// # Errors
    /// Name taken, addresses taken, an option or driver that is not known.
    pub async fn create(
        self: &Arc<Self>,
        request: CreateNetwork,
        id: NetworkId,
        now: Timestamp,
    ) -> Result<Arc<Network>> {
        let this = Arc::clone(self);
        self.finish(async move { create::create(&this, request, id, now).await }).await
    }

    /// All networks, by name.
    pub fn list(&self) -> Vec<NetworkView> {
        inspect::list(&self.lock())
    }

    /// The network with this name, id or unique beginning of an id.
    ///
    /// # Errors
    /// None or several fit.
    pub fn inspect(&self, name_or_id: &str) -> Result<NetworkView> {
        inspect::inspect(&self.lock(), name_or_id)
    }

    /// Removes a network.
    ///
    /// # Errors
    /// Not there, predefined, or containers are in it.
    pub async fn remove(self: &Arc<Self>, name_or_id: &str) -> Result<Arc<Network>> {
        let (this, name) = (Arc::clone(self), name_or_id.to_owned());
        self.finish(async move { remove::remove(&this, &name).await }).await
    }

    /// Gives a starting container its place. On an error nothing is left.
    ///
    /// # Errors
    /// A network that is not there, an address or port in use, pools
    /// exhausted, or a sandbox for this container that was not released.
    pub async fn sandbox(
        self: &Arc<Self>,
        container: &ContainerId,
        request: SandboxRequest,
    ) -> Result<Sandbox> {
        let (this, container) = (Arc::clone(self), container.clone());
        self.finish(async move {
            let _turn = this.turn(&container).await;
            sandbox::sandbox(&this, &container, request).await
        })
        .await
    }

    /// Takes over a container that kept running while the daemon was away:
    /// its addresses, ports, names. `pid` is any process in its network
    /// namespace (ignored for `host`).
    ///
    /// # Errors
    /// The process or a network is gone, or a port is somebody else's. The
    /// container runs on, so whatever can be taken over is.
    pub async fn adopt(
        self: &Arc<Self>,
        container: &ContainerId,
        pid: u32,
        saved: SandboxState,
    ) -> Result<()> {
        let (this, container) = (Arc::clone(self), container.clone());
        self.finish(async move {
            let _turn = this.turn(&container).await;
            adopt::adopt(&this, &container, pid, saved).await
        })
        .await
    }

    /// Ends a container's place: ports closed, names and addresses free. Goes
    /// on past errors; ports that cannot be closed are closed later, and are
    /// free then. A container without a sandbox is fine.
    ///
    /// # Errors
    /// The first failure, after everything was tried.
    pub async fn release(self: &Arc<Self>, container: &ContainerId) -> Result<()> {
        let (this, container) = (Arc::clone(self), container.clone());
        self.finish(async move {
            let _turn = this.turn(&container).await;
            release::release(&this, &container).await
        })
        .await
    }

    /// Whether a container that does not run could be in all of these.
    ///
    /// # Errors
    /// As [`Networks::sandbox`], except that no address is taken.
    pub fn check(&self, endpoints: &[EndpointRequest]) -> Result<()> {
        sandbox::check(&self.lock(), endpoints)
    }

    /// Gives a running container a place in one more network, in the books only: the caller
    /// stores its state before [`Networks::join`], so that whoever comes after a crash knows
    /// whose the address is. [`Networks::disconnect`] takes it back.
    ///
    /// # Errors
    /// As [`Networks::sandbox`]; also when it is in the network already, or
    /// in `host` or `none`.
    pub async fn place(
        self: &Arc<Self>,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<EndpointState> {
        let (this, container) = (Arc::clone(self), container.clone());
        self.finish(async move {
            let _turn = this.turn(&container).await;
            connect::place(&this, &container, &request)
        })
        .await
    }

    /// Makes what [`Networks::place`] wrote down. On an error the place is given back.
    ///
    /// # Errors
    /// The kernel or the firewall refuses, or the container has ended.
    pub async fn join(
        self: &Arc<Self>,
        container: &ContainerId,
        endpoint: EndpointState,
    ) -> Result<()> {
        let (this, container) = (Arc::clone(self), container.clone());
        self.finish(async move {
            let _turn = this.turn(&container).await;
            connect::join(&this, &container, &endpoint).await
        })
        .await
    }

    /// Takes a running container out of a network.
    ///
    /// # Errors
    /// It has no sandbox or is not in the network.
    pub async fn disconnect(
        self: &Arc<Self>,
        container: &ContainerId,
        network: &str,
    ) -> Result<()> {
        let (this, container) = (Arc::clone(self), container.clone());
        let network = network.to_owned();
        self.finish(async move {
            let _turn = this.turn(&container).await;
            disconnect::disconnect(&this, &container, &network).await
        })
        .await
    }

    /// A container's place as it is now; `None` without a sandbox.
    pub fn state(&self, container: &ContainerId) -> Option<SandboxState> {
        self.lock().sandboxes.get(container).map(|s| s.state.clone())
    }

    /// Follows a container's new name in DNS and inspect.
    pub fn rename(&self, container: &ContainerId, name: &str) {
        let mut state = self.lock();
        let Some(sandbox) = state.sandboxes.get_mut(container) else { return };
        let SandboxState { name: own, hostname, endpoints, .. } = &mut sandbox.state;
        *own = name.into();
        for endpoint in endpoints.iter_mut().filter(|e| !e.dns_names.is_empty()) {
            let asker = Asker { container, name, hostname, index: 0 };
            endpoint.dns_names = claim::dns_names(asker, &endpoint.aliases);
            self.publish_names(container, endpoint);
        }
    }

    /// The table of names, for what else has names here (services).
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The host as seen from containers (`--add-host x:host-gateway`): the
    /// default bridge's own address.
    pub fn host_gateway(&self) -> Ipv4Addr {
        self.lock().default_gateway()
    }

    /// The host's resolvers as they are now.
    pub fn host_resolver(&self) -> HostResolver {
        let text = std::fs::read_to_string(&self.config.resolv_conf).unwrap_or_default();
        HostResolver::parse(&text)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    async fn turn(&self, container: &ContainerId) -> AsyncMutexGuard<'_, ()> {
        let mut hasher = self.deal.build_hasher();
        hasher.write(container.as_str().as_bytes());
        // The remainder is below TURNS.
        self.turns[hasher.finish() as usize % TURNS].lock().await
    }

    /// Runs `work` to its end even if the caller stops waiting.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.tasks.spawn(work).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(crate::NetworkError::Conflict("networks are closed".into())),
            },
        }
    }

    /// Runs `work` on a blocking thread.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.tasks.spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(crate::NetworkError::Conflict("networks are closed".into())),
            },
        }
    }

    /// Makes the names of an endpoint known.
    fn publish_names(&self, container: &ContainerId, endpoint: &EndpointState) {
        if !endpoint.dns_names.is_empty() {
            let owner = Owner::Container(container.clone());
            self.names.set(&endpoint.network, &owner, &endpoint.dns_names, &[endpoint.ipv4]);
        }
    }
}

impl fmt::Debug for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Networks").field("config", &self.config).finish_non_exhaustive()
    }
}
