//! Objects for tests, with names one can read in a plan.

use shoal_model::swarm::{
    Annotations, Availability, Certificate, Cluster, ClusterSpec, ContainerSpec, JoinTokens, Node,
    NodeDescription, NodeRole, NodeSpec, NodeState, NodeStatus, Resources, RootCa, Service,
    ServiceMode, ServiceSpec, Shared, Task, TaskOrigin, TaskSpec, TaskState, TaskStatus, Version,
};
use shoal_model::{ClusterId, Platform, ServiceId, SwarmNodeId, TaskId, Timestamp};

use crate::dispatch::{TaskReport, report_tasks};
use crate::{Batch, Change, Command, CommandError, Decision, Outcome, Rng, Store, decide, pass};

/// An id that follows from a name.
fn bytes_of(name: &str) -> [u8; 17] {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::from_seed(seed).bytes()
}

pub(crate) fn node_id(name: &str) -> SwarmNodeId {
    SwarmNodeId::from_bytes(bytes_of(name))
}

pub(crate) fn service_id(name: &str) -> ServiceId {
    ServiceId::from_bytes(bytes_of(name))
}

pub(crate) fn task_id(name: &str) -> TaskId {
    TaskId::from_bytes(bytes_of(name))
}

/// A time so many seconds after the tests' beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

/// A ready worker with 4 cores and 8 GiB.
pub(crate) fn node(name: &str) -> Node {
    Node {
        id: node_id(name),
        meta: Default::default(),
        spec: NodeSpec { availability: Availability::Active, ..NodeSpec::default() },
        description: Some(NodeDescription {
            hostname: name.to_owned(),
            platform: Some(Platform {
                os: "linux".to_owned(),
                architecture: "x86_64".to_owned(),
                variant: String::new(),
            }),
            resources: Resources {
                nano_cpus: 4_000_000_000,
                memory_bytes: 8 << 30,
                generic: Vec::new(),
            },
            ..NodeDescription::default()
        }),
        status: NodeStatus { state: NodeState::Ready, ..NodeStatus::default() },
        manager_status: None,
        certificate: Certificate::default(),
        role: NodeRole::Worker,
    }
}

pub(crate) fn cluster() -> Cluster {
    Cluster {
        id: ClusterId::from_bytes(bytes_of("cluster")),
        meta: Default::default(),
        spec: ClusterSpec { annotations: Annotations::named("default"), ..ClusterSpec::default() },
        root_ca: RootCa {
            certificate_pem: "certificate".to_owned(),
            key_pem: "key".to_owned(),
            certificate_digest: "sha256:00".to_owned(),
            join_tokens: JoinTokens { worker: "w".to_owned(), manager: "m".to_owned() },
            last_forced_rotation: 0,
        },
        blacklisted_certificates: Default::default(),
    }
}

/// A spec of a replicated service that runs `image:1`.
pub(crate) fn spec(name: &str, replicas: u64) -> ServiceSpec {
    ServiceSpec {
        annotations: Annotations::named(name),
        task: Shared::new(TaskSpec {
            container: ContainerSpec { image: "image:1".to_owned(), ..ContainerSpec::default() },
            ..TaskSpec::default()
        }),
        mode: ServiceMode::Replicated { replicas },
        ..ServiceSpec::default()
    }
}

pub(crate) fn service(name: &str, replicas: u64) -> Service {
    Service {
        id: service_id(name),
        meta: Default::default(),
        spec: spec(name, replicas),
        spec_version: Version(1),
        previous_spec: None,
        previous_spec_version: None,
        endpoint: None,
        update_status: None,
    }
}

/// A running task of the service in this slot on this node.
pub(crate) fn task(service: &Service, slot: u64, node: &str) -> Task {
    let name = &service.spec.annotations.name;
    Task {
        id: task_id(&format!("{name}.{slot}@{node}")),
        meta: Default::default(),
        spec: service.spec.task.clone(),
        spec_version: service.spec_version,
        service_id: service.id.clone(),
        slot,
        node_id: Some(node_id(node)),
        service_annotations: service.spec.annotations.clone(),
        status: TaskStatus::new(TaskState::Running, "started", at(0)),
        desired_state: TaskState::Running,
        networks: Vec::new(),
        endpoint: None,
        log_driver: None,
        origin: TaskOrigin::Fill,
        start_after: None,
        started_at: Some(at(0)),
    }
}

/// A cluster with these nodes, made at time 0.
pub(crate) fn store(nodes: &[&str]) -> Store {
    let mut changes = vec![Change::CreateCluster(Box::new(cluster()))];
    changes.extend(nodes.iter().map(|name| Change::CreateNode(Box::new(node(name)))));
    let mut store = Store::default();
    store.apply(Batch::new(at(0), changes)).unwrap();
    store
}

/// A cluster at work: a store, a clock, and agents that do as they are told.
pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
    pub(crate) rng: Rng,
}

impl Scene {
    /// A cluster with these nodes, all ready.
    pub(crate) fn new(nodes: &[&str]) -> Self {
        Self { store: store(nodes), now: at(0), rng: Rng::from_seed(1) }
    }

    pub(crate) fn apply(&mut self, changes: Vec<Change>) {
        self.store.apply(Batch::new(self.now, changes)).unwrap();
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<Outcome, CommandError> {
        let Decision { changes, outcome } = decide(&self.store, command, self.now, &mut self.rng)?;
        self.store.apply(Batch::new(self.now, changes))?;
        Ok(outcome)
    }

    pub(crate) fn create(&mut self, spec: ServiceSpec) -> ServiceId {
        match self.command(Command::CreateService(Box::new(spec))).unwrap() {
            Outcome::Service(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// Changes a service's spec with the version it has now.
    pub(crate) fn update(&mut self, name: &str, write: impl FnOnce(&mut ServiceSpec)) {
        let service = self.store.find_service(name).unwrap();
        let mut spec = service.spec.clone();
        write(&mut spec);
        self.command(Command::UpdateService {
            service: service.id.clone(),
            version: service.meta.version,
            spec: Box::new(spec),
            registry_auth_from: Default::default(),
        })
        .unwrap();
    }

    pub(crate) fn set_image(&mut self, name: &str, image: &str) {
        self.update(name, |spec| Shared::make_mut(&mut spec.task).container.image = image.into());
    }

    pub(crate) fn scale(&mut self, name: &str, replicas: u64) {
        let service = self.store.find_service(name).unwrap().id.clone();
        self.command(Command::ScaleService { service, replicas }).unwrap();
    }

    /// Changes a node past the versions.
    pub(crate) fn edit_node(&mut self, name: &str, write: impl FnOnce(&mut Node)) {
        let old = self.store.node(&node_id(name)).unwrap();
        let mut new = Node::clone(old);
        write(&mut new);
        let node = new.id.clone();
        let mut changes =
            vec![Change::SetNodeStatus { node: node.clone(), status: new.status.clone() }];
        if let Some(description) = new.description.clone() {
            changes.push(Change::SetNodeDescription { node, description: Box::new(description) });
        }
        changes.push(Change::UpdateNode(Box::new(new)));
        self.apply(changes);
    }

    pub(crate) fn node_is(&mut self, name: &str, state: NodeState) {
        self.edit_node(name, |node| node.status.state = state);
    }

    pub(crate) fn drain(&mut self, name: &str) {
        self.edit_node(name, |node| node.spec.availability = Availability::Drain);
    }

    pub(crate) fn after(&mut self, seconds: u64) {
        self.now = self.now + std::time::Duration::from_secs(seconds);
    }

    /// One pass, applied; its plan in words.
    pub(crate) fn pass(&mut self) -> String {
        let plan = pass(&self.store, self.now, &mut self.rng);
        let text = plan.text(&self.store);
        for batch in plan.into_batches(self.now) {
            self.store.apply(batch).unwrap();
        }
        text
    }

    /// When the next pass is due by itself, in seconds from the beginning.
    pub(crate) fn deadline(&self) -> Option<i64> {
        let mut rng = self.rng.clone();
        let plan = pass(&self.store, self.now, &mut rng);
        assert!(plan.is_empty(), "not settled:\n{}", plan.text(&self.store));
        plan.next_deadline.map(|time| (time.nanos() - at(0).nanos()) / 1_000_000_000)
    }

    /// What a node says about a task.
    pub(crate) fn report(&mut self, task: &TaskId, state: TaskState) {
        let status = TaskStatus::new(state, state.as_str(), self.now);
        let node = self.store.task(task).unwrap().node_id.clone().unwrap();
        let reports = vec![TaskReport { task: task.clone(), status }];
        let changes = report_tasks(&self.store, &node, reports, self.now).unwrap();
        self.apply(changes);
    }

    /// The one wanted task in this place, `web.3`.
    pub(crate) fn wanted(&self, place: &str) -> std::sync::Arc<Task> {
        let mut found =
            self.store.tasks().filter(|task| task.is_wanted() && task.short_name() == place);
        let task = found.next().unwrap_or_else(|| panic!("no wanted task {place}"));
        assert!(found.next().is_none(), "several wanted tasks {place}");
        task.clone()
    }

    /// The wanted task of this place ends like this.
    pub(crate) fn ends(&mut self, place: &str, state: TaskState) {
        let id = self.wanted(place).id.clone();
        self.report(&id, state);
    }

    /// All agents of ready nodes do what they were told, at once.
    pub(crate) fn agents(&mut self) {
        let tasks: Vec<_> = self.store.tasks().cloned().collect();
        for task in tasks {
            let node = task.node_id.as_ref().and_then(|id| self.store.node(id));
            let alive = node.is_some_and(|node| node.status.state == NodeState::Ready);
            if !alive || task.status.state < TaskState::Assigned || task.status.state.is_terminal()
            {
                continue;
            }
            let goal = task.desired_state.min(TaskState::Shutdown);
            if task.status.state < goal {
                self.report(&task.id, goal);
            }
        }
    }

    /// Passes and agents by turns until nothing is left to do at this time.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            let before = self.store.clone();
            self.pass();
            self.agents();
            if self.store.tasks().eq(before.tasks()) && self.store.services().eq(before.services())
            {
                return;
            }
        }
        panic!("does not settle:\n{}", self.pass());
    }

    /// The tasks in words, `web.1@n1 running`, sorted; those not wanted with
    /// where they should go.
    pub(crate) fn tasks(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .store
            .tasks()
            .map(|task| {
                let node = task.node_id.as_ref().and_then(|id| self.store.node(id));
                let node = node.map_or("-", |node| node.hostname());
                let goal = match task.is_wanted() {
                    true => String::new(),
                    false => format!(" to {}", task.desired_state),
                };
                let name = &task.service_annotations.name;
                format!("{name}.{}@{node} {}{goal}", task.slot, task.status.state)
            })
            .collect();
        lines.sort();
        lines
    }

    /// How many tasks of the service run on each node, in the nodes' order by
    /// name.
    pub(crate) fn spread(&self, name: &str) -> Vec<usize> {
        let service = self.store.find_service(name).unwrap();
        let mut nodes: Vec<_> = self.store.nodes().collect();
        nodes.sort_by_key(|node| node.hostname().to_owned());
        nodes
            .iter()
            .map(|node| {
                self.store
                    .tasks_of_node(&node.id)
                    .filter(|task| task.is_wanted() && task.service_id == service.id)
                    .count()
            })
            .collect()
    }

    /// The state and the words of the service's update.
    pub(crate) fn update_status(&self, name: &str) -> String {
        let service = self.store.find_service(name).unwrap();
        match &service.update_status {
            Some(status) => format!("{}: {}", status.state.as_str(), status.message),
            None => "none".to_owned(),
        }
    }
}
