//! Clusters in one process: real nodes over loopback, containers pretended.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::print_stdout, reason = "logs of other programs are shown")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

pub mod dockerd;
pub mod machine;

use std::sync::Arc;
use std::time::Duration;

use shoal_cluster::{Command, Outcome, Store};
use shoal_model::swarm::{
    Annotations, CaConfig, ClusterSpec, ContainerSpec, DispatcherConfig, RestartPolicy,
    ServiceMode, ServiceSpec, Shared, TaskSpec, TaskState,
};
use shoal_model::{ServiceId, SwarmNodeId};
use shoal_node::{
    Control, InitRequest, JoinRequest, LocalNodeState, Node, NodeConfig, NodeError, Timers,
};
use tempfile::TempDir;

pub use machine::Machine;

/// Silence after which a node of a test cluster is down is three times this.
pub const HEARTBEAT: Duration = Duration::from_millis(400);

/// How long a test waits for what must happen; far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One node of a test cluster, its disk and its pretended machine.
pub struct TestNode {
    pub node: Arc<Node>,
    pub machine: Arc<Machine>,
    pub dir: TempDir,
}

pub fn config(dir: &TempDir) -> NodeConfig {
    let timers = Timers {
        join_timeout: Duration::from_secs(15),
        backoff_max: Duration::from_millis(500),
        renewal_pause: Duration::from_millis(200),
        ..Timers::default()
    };
    NodeConfig { timers, ..NodeConfig::new(dir.path().join("swarm")) }
}

impl TestNode {
    pub async fn new(name: &str) -> Self {
        Self::with_timers(name, |_| {}).await
    }

    /// One with other timers than those of [`config`].
    pub async fn with_timers(name: &str, change: impl FnOnce(&mut Timers)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::new(name);
        let mut config = config(&dir);
        change(&mut config.timers);
        let node = Node::open(config, Arc::clone(&machine)).await.unwrap();
        Self { node, machine, dir }
    }

    /// A node that has made a cluster.
    pub async fn manager() -> Self {
        let made = Self::new("manager").await;
        made.init().await.unwrap();
        made
    }

    pub async fn init(&self) -> Result<SwarmNodeId, NodeError> {
        self.init_with(CaConfig::default()).await
    }

    /// Makes a cluster with these rules for certificates.
    pub async fn init_with(&self, ca: CaConfig) -> Result<SwarmNodeId, NodeError> {
        let dispatcher = DispatcherConfig { heartbeat_period: HEARTBEAT };
        let spec = ClusterSpec { dispatcher, ca, ..ClusterSpec::default() };
        let listen_addr = "127.0.0.1:0".to_owned();
        self.node.init(InitRequest { listen_addr, spec, ..InitRequest::default() }).await
    }

    /// A node that has joined the manager's cluster.
    pub async fn worker(name: &str, manager: &Self) -> Self {
        let made = Self::new(name).await;
        made.node.join(manager.join_request().await).await.unwrap();
        made
    }

    /// What `docker swarm join-token worker` says.
    pub async fn join_request(&self) -> JoinRequest {
        let info = self.node.info().await;
        JoinRequest {
            remote_addrs: vec![info.remote_managers[0].addr.clone()],
            token: info.cluster.unwrap().root_ca.join_tokens.worker.clone(),
            ..JoinRequest::default()
        }
    }

    pub async fn id(&self) -> SwarmNodeId {
        self.node.info().await.node_id.unwrap()
    }

    pub fn control(&self) -> Control {
        self.node.control().unwrap()
    }

    /// The process ends and begins again on the same disk and machine.
    pub async fn restart(self) -> Self {
        let Self { node, machine, dir } = self;
        node.shutdown().await;
        drop(node);
        let node = Node::open(config(&dir), Arc::clone(&machine)).await.unwrap();
        Self { node, machine, dir }
    }
}

/// A replicated service whose program runs until it is stopped.
pub fn service(name: &str, replicas: u64) -> ServiceSpec {
    ServiceSpec {
        annotations: Annotations::named(name),
        task: Shared::new(TaskSpec {
            container: ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() },
            restart: Some(RestartPolicy {
                delay: Some(Duration::from_millis(100)),
                ..RestartPolicy::default()
            }),
            ..TaskSpec::default()
        }),
        mode: ServiceMode::Replicated { replicas },
        ..ServiceSpec::default()
    }
}

pub async fn create(control: &Control, spec: ServiceSpec) -> ServiceId {
    match control.execute(Command::CreateService(Box::new(spec))).await.unwrap() {
        Outcome::Service(id) => id,
        other => panic!("unexpected outcome {other:?}"),
    }
}

pub async fn scale(control: &Control, service: &ServiceId, replicas: u64) {
    control.execute(Command::ScaleService { service: service.clone(), replicas }).await.unwrap();
}

/// Waits until the cluster's state fulfils a condition.
pub async fn until(control: &Control, what: &str, mut met: impl FnMut(&Store) -> bool) {
    let mut changes = control.watch();
    let waiting = async {
        loop {
            if met(&control.view().await.unwrap()) {
                return;
            }
            // Some conditions are met by time alone.
            let _ = tokio::time::timeout(Duration::from_millis(200), changes.changed()).await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("waited in vain for: {what}\n{}", picture(&control.view().await.unwrap()));
    }
}

/// Waits until something outside the cluster's state is so.
pub async fn eventually(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited in vain for: {what}");
}

/// Tasks of a service that run and shall run.
pub fn running(view: &Store, service: &ServiceId) -> usize {
    view.tasks_of_service(service)
        .filter(|task| {
            task.status.state == TaskState::Running && task.desired_state == TaskState::Running
        })
        .count()
}

pub async fn until_running(control: &Control, service: &ServiceId, count: usize) {
    until(control, &format!("{count} running"), |view| running(view, service) == count).await;
}

/// The nodes and tasks in words, for tests that fail.
pub fn picture(view: &Store) -> String {
    let nodes = view.nodes().map(|node| {
        format!("{} {} {}\n", node.hostname(), node.status.state.as_str(), node.status.message)
    });
    let tasks = view.tasks().map(|task| {
        let (seen, wanted) = (task.status.state, task.desired_state);
        format!(
            "{} {seen} (wanted {wanted}) {} {}\n",
            task.name(),
            task.status.message,
            task.status.err
        )
    });
    nodes.chain(tasks).collect()
}

/// Waits until a node has (again) a session with a manager.
pub async fn active(node: &TestNode) {
    eventually("a session", async || {
        let info = node.node.info().await;
        info.state == LocalNodeState::Active && info.error.is_empty()
    })
    .await;
}
