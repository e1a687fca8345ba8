//! The birth of a task.

use shoal_model::SwarmNodeId;
use shoal_model::swarm::{
    NetworkAttachment, NetworkAttachmentSpec, Service, Task, TaskOrigin, TaskState, TaskStatus,
    Version,
};

use super::slot::SlotKey;
use crate::plan::Work;

/// What the scheduler has not looked at yet says this (SwarmKit's words).
const PENDING_MESSAGE: &str = "pending task scheduling";

/// A task of the service as its spec is now, wanted in `desired`.
pub(super) fn new_task(
    work: &mut Work<'_>,
    service: &Service,
    key: &SlotKey,
    origin: TaskOrigin,
    desired: TaskState,
) -> Task {
    let (slot, node_id) = place(key);
    let spec = service.spec.task.clone();
    let cluster = work.view().cluster();
    let default_log = cluster.and_then(|cluster| cluster.spec.task_defaults.log_driver.clone());
    Task {
        id: work.rng.task_id(),
        meta: shoal_model::swarm::Meta {
            created_at: work.now,
            updated_at: work.now,
            ..Default::default()
        },
        spec_version: service.spec_version,
        service_id: service.id.clone(),
        slot,
        node_id,
        service_annotations: service.spec.annotations.clone(),
        status: TaskStatus::new(TaskState::Pending, PENDING_MESSAGE, work.now),
        desired_state: desired,
        networks: spec.networks.iter().map(attachment).collect(),
        endpoint: service.endpoint.clone(),
        log_driver: spec.log_driver.clone().or(default_log),
        origin,
        start_after: None,
        started_at: None,
        created_in: Version::default(),
        spec,
    }
}

fn place(key: &SlotKey) -> (u64, Option<SwarmNodeId>) {
    match key {
        SlotKey::Replica(slot) => (*slot, None),
        SlotKey::Node(node) => (0, Some(node.clone())),
    }
}

fn attachment(spec: &NetworkAttachmentSpec) -> NetworkAttachment {
    let NetworkAttachmentSpec { target, aliases, driver_options } = spec;
    NetworkAttachment {
        network: target.clone(),
        addresses: Vec::new(),
        aliases: aliases.clone(),
        driver_options: driver_options.clone(),
    }
}
