//! A node and its place in a cluster: in none, worker, or manager and worker.
//!
//! ```text
//!             init                          join
//! Manager ◀──────────── Inactive ──────────────────▶ Joining ──▶ Worker
//!    │                    ▲   ▲                         │           │
//!    └── leave (force) ───┘   └──── refused, leave ─────┴── leave ──┘
//! ```
//!
//! What survives a restart: `state.json` says which of them, the certificates say who, the raft
//! log what the cluster is. A membership exists from the moment `state.json` does.

mod info;
mod init;
mod join;
mod leave;
mod mend;
mod resume;
mod state;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use shoal_cluster::agent::{Executor, ExecutorError};
use shoal_model::swarm::NodeDescription;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agent::{self, Agent, Contact, Managers};
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::control::Control;
use crate::error::NodeError;
use crate::manager::Manager;
use crate::tls::Credentials;

use state::Files;

/// A node of a cluster, or one that may become it.
pub struct Node {
    config: NodeConfig,
    clock: Clock,
    engine: Box<dyn Engine>,
    /// Held while the node changes its place; one change at a time.
    changing: tokio::sync::Mutex<()>,
    place: Mutex<Place>,
    /// Attempts to join so far.
    attempts: AtomicU64,
}

/// Where the node stands.
#[derive(Default)]
enum Place {
    #[default]
    Inactive,
    Joining(Joining),
    Member(Arc<Member>),
    /// A member that cannot be taken up, or has stopped at an error; why. It is tried again.
    Broken(String),
}

/// A join that is under way.
struct Joining {
    /// Tells one attempt from the next.
    attempt: u64,
    addrs: Vec<String>,
    advertise_addr: String,
    stop: CancellationToken,
    /// Ends soon after `stop`, with everything it writes written.
    task: JoinHandle<()>,
}

/// A working member.
struct Member {
    credentials: Arc<Credentials>,
    managers: Arc<Managers>,
    manager: Option<Manager>,
    /// Host and port the node is known by.
    advertise_addr: String,
    contact: watch::Receiver<Contact>,
    agent_stop: CancellationToken,
    agent: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// The engine, its type forgotten.
trait Engine: Send + Sync {
    fn describe(&self) -> BoxFuture<'_, Result<NodeDescription, ExecutorError>>;
    fn run(&self, agent: Agent) -> BoxFuture<'static, ()>;
    /// Removes every task's container.
    fn clear(&self) -> BoxFuture<'_, ()>;
}

struct Erased<E>(Arc<E>);

impl<E: Executor> Engine for Erased<E> {
    fn describe(&self) -> BoxFuture<'_, Result<NodeDescription, ExecutorError>> {
        Box::pin(self.0.describe())
    }

    fn run(&self, agent: Agent) -> BoxFuture<'static, ()> {
        Box::pin(agent::run(agent, Arc::clone(&self.0)))
    }

    fn clear(&self) -> BoxFuture<'_, ()> {
        Box::pin(leave::clear(Arc::clone(&self.0)))
    }
}

impl Node {
    /// Opens the node and takes up what it was before a restart. Its containers ran on.
    ///
    /// # Errors
    /// The state directory cannot be used. A membership that cannot be taken up is no error
    /// here: [`Node::info`] tells about it, and [`Node::leave`] ends it.
    pub async fn open<E: Executor>(
        config: NodeConfig,
        executor: Arc<E>,
    ) -> Result<Arc<Self>, NodeError> {
        let node = Arc::new(Self {
            config,
            clock: Clock::start(),
            engine: Box::new(Erased(executor)),
            changing: tokio::sync::Mutex::new(()),
            place: Mutex::default(),
            attempts: AtomicU64::new(0),
        });
        node.resume().await?;
        Ok(node)
    }

    /// The cluster's commands and views.
    ///
    /// # Errors
    /// This node is in no cluster, or a worker.
    pub fn control(&self) -> Result<Control, NodeError> {
        match &*self.place() {
            Place::Inactive | Place::Joining(_) => Err(NodeError::NotInSwarm),
            Place::Broken(_) => Err(NodeError::NoLeader),
            Place::Member(member) => match &member.manager {
                None => Err(NodeError::NotManager),
                Some(manager) => Ok(Control::new(Arc::clone(&manager.lead))),
            },
        }
    }

    /// Stops talking; the membership and the containers stay.
    pub async fn shutdown(&self) {
        let _changing = self.changing.lock().await;
        let place = std::mem::take(&mut *self.place());
        self.quit(place).await;
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> Files {
        Files::below(&self.config.root)
    }

    fn agent_dir(&self) -> PathBuf {
        self.config.root.join("worker")
    }

    /// Starts the agent of a member.
    fn start_agent(
        &self,
        credentials: Arc<Credentials>,
        managers: Arc<Managers>,
        manager: Option<Manager>,
        advertise_addr: String,
    ) -> Arc<Member> {
        let (sender, contact) = watch::channel(Contact::default());
        let agent_stop = CancellationToken::new();
        let agent = self.engine.run(Agent {
            credentials: Arc::clone(&credentials),
            managers: Arc::clone(&managers),
            clock: self.clock,
            timers: self.config.timers.clone(),
            parallelism: self.config.agent_parallelism.max(1),
            dir: self.agent_dir(),
            root: self.config.root.clone(),
            contact: sender,
            renew: Arc::new(Notify::new()),
            stop: agent_stop.clone(),
        });
        let agent = tokio::sync::Mutex::new(Some(tokio::spawn(agent)));
        Arc::new(Member {
            credentials,
            managers,
            manager,
            advertise_addr,
            contact,
            agent_stop,
            agent,
        })
    }

    /// Stops whatever runs in a place.
    async fn quit(&self, place: Place) {
        match place {
            Place::Inactive | Place::Broken(_) => {}
            Place::Joining(joining) => {
                joining.stop.cancel();
                if let Err(error) = joining.task.await {
                    tracing::error!(%error, "an attempt to join ended in disorder");
                }
            }
            Place::Member(member) => {
                member.agent_stop.cancel();
                if let Some(agent) = member.agent.lock().await.take()
                    && let Err(error) = agent.await
                {
                    tracing::error!(%error, "the agent ended in disorder");
                }
                if let Some(manager) = &member.manager {
                    manager.stop().await;
                }
            }
        }
    }
}
