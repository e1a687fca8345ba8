//! Objects for tests, with names one can read in a plan.

use shoal_model::swarm::{
    Annotations, Availability, Certificate, Cluster, ClusterSpec, ContainerSpec, JoinTokens, Node,
    NodeRole, NodeSpec, NodeState, NodeStatus, RootCa, Service, ServiceMode, ServiceSpec, Shared,
    Task, TaskOrigin, TaskSpec, TaskState, TaskStatus, Version,
};
use shoal_model::{ClusterId, ServiceId, SwarmNodeId, TaskId, Timestamp};

use crate::agent::fake::description;
use crate::{Batch, Change, Rng, Store};

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
        description: Some(description(name)),
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
        created_in: Version::default(),
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
