//! Tasks and their status.

use shoal_model::swarm::{
    ContainerSpec, ContainerStatus, Placement, PlacementPreference, ResourceLimits,
    ResourceRequirements, RestartCondition, RestartPolicy, Task, TaskOrigin, TaskSpec, TaskState,
    TaskStatus, Version,
};

use super::container::{container_from_wire, container_to_wire};
use super::network::{
    attachment_from_wire, attachment_spec_from_wire, attachment_spec_to_wire, attachment_to_wire,
    endpoint_from_wire, endpoint_to_wire, port_from_wire, port_to_wire,
};
use super::node::{platform_from_wire, platform_to_wire};
use super::{
    ConvertError, annotations_from_wire, annotations_to_wire, driver_from_wire, driver_to_wire,
    duration_from_wire, duration_to_wire, meta_from_wire, meta_to_wire, resources_from_wire,
    resources_to_wire, timestamp_from_wire, timestamp_to_wire, version_from_wire, version_to_wire,
};
use crate::wire;

/// A task on its way to a worker.
pub fn task_to_wire(task: &Task) -> wire::Task {
    // The last four are the manager's own.
    let Task {
        id,
        meta,
        spec,
        spec_version,
        service_id,
        slot,
        node_id,
        service_annotations,
        status,
        desired_state,
        networks,
        endpoint,
        log_driver,
        origin: _,
        start_after: _,
        started_at: _,
        created_in: _,
    } = task;
    wire::Task {
        id: id.to_string(),
        meta: Some(meta_to_wire(meta)),
        spec: Some(spec_to_wire(spec)),
        service_id: service_id.to_string(),
        slot: *slot,
        node_id: node_id.as_ref().map_or_else(String::new, ToString::to_string),
        annotations: Some(wire::Annotations {
            name: task.name(),
            labels: Default::default(),
            indices: Vec::new(),
        }),
        service_annotations: Some(annotations_to_wire(service_annotations)),
        status: Some(status_to_wire(status)),
        desired_state: desired_state.number(),
        networks: networks.iter().map(attachment_to_wire).collect(),
        endpoint: endpoint.as_ref().map(endpoint_to_wire),
        log_driver: log_driver.as_ref().map(driver_to_wire),
        spec_version: Some(version_to_wire(*spec_version)),
        assigned_generic_resources: Vec::new(),
        job_iteration: None,
        volumes: Vec::new(),
    }
}

/// A task on a worker; refuses what this implementation cannot run.
pub fn task_from_wire(task: wire::Task) -> Result<Task, ConvertError> {
    let wire::Task {
        id,
        meta,
        spec,
        service_id,
        slot,
        node_id,
        annotations: _,
        service_annotations,
        status,
        desired_state,
        networks,
        endpoint,
        log_driver,
        spec_version,
        // Devices are named to the container by the environment; the scheduler counted them.
        assigned_generic_resources: _,
        job_iteration: _,
        volumes,
    } = task;
    if !volumes.is_empty() {
        return Err(ConvertError::new("task", "cluster volumes are not supported"));
    }
    let node_id = match node_id.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|error| ConvertError::new("task's node", error))?),
    };
    Ok(Task {
        id: id.parse().map_err(|error| ConvertError::new("task", error))?,
        meta: meta_from_wire(meta),
        spec: spec_from_wire(spec.ok_or(ConvertError::missing("task's spec"))?)?.into(),
        spec_version: version_from_wire(spec_version),
        service_id: service_id
            .parse()
            .map_err(|error| ConvertError::new("task's service", error))?,
        slot,
        node_id,
        service_annotations: annotations_from_wire(service_annotations),
        status: status_from_wire(status.unwrap_or_default())?,
        desired_state: state_from_wire(desired_state)?,
        networks: networks.into_iter().map(attachment_from_wire).collect::<Result<_, _>>()?,
        endpoint: endpoint.map(endpoint_from_wire).transpose()?,
        log_driver: log_driver.map(driver_from_wire),
        origin: TaskOrigin::default(),
        start_after: None,
        started_at: None,
        created_in: Version::default(),
    })
}

/// What was seen of a task.
pub fn status_to_wire(status: &TaskStatus) -> wire::TaskStatus {
    let TaskStatus { timestamp, state, message, err, container, ports, applied_by, applied_at } =
        status;
    wire::TaskStatus {
        timestamp: Some(timestamp_to_wire(*timestamp)),
        state: state.number(),
        message: message.clone(),
        err: err.clone(),
        container: container.as_ref().map(|container| {
            let ContainerStatus { container_id, pid, exit_code } = container;
            wire::ContainerStatus {
                container_id: container_id.clone(),
                pid: i32::try_from(*pid).unwrap_or(0),
                exit_code: *exit_code,
            }
        }),
        port_status: match ports.is_empty() {
            true => None,
            false => Some(wire::PortStatus { ports: ports.iter().map(port_to_wire).collect() }),
        },
        applied_by: applied_by.as_ref().map_or_else(String::new, ToString::to_string),
        applied_at: applied_at.map(timestamp_to_wire),
    }
}

/// What a peer saw of a task.
pub fn status_from_wire(status: wire::TaskStatus) -> Result<TaskStatus, ConvertError> {
    let wire::TaskStatus {
        timestamp,
        state,
        message,
        err,
        container,
        port_status,
        applied_by,
        applied_at,
    } = status;
    let wire::PortStatus { ports } = port_status.unwrap_or_default();
    Ok(TaskStatus {
        timestamp: timestamp_from_wire(timestamp.unwrap_or_default()),
        state: state_from_wire(state)?,
        message,
        err,
        container: container.map(|container| {
            let wire::ContainerStatus { container_id, pid, exit_code } = container;
            ContainerStatus { container_id, pid: u32::try_from(pid).unwrap_or(0), exit_code }
        }),
        ports: ports.into_iter().map(port_from_wire).collect::<Result<_, _>>()?,
        applied_by: applied_by.parse().ok(),
        applied_at: applied_at.map(timestamp_from_wire),
    })
}

fn state_from_wire(number: i32) -> Result<TaskState, ConvertError> {
    TaskState::from_number(number).map_err(|error| ConvertError::new("task state", error))
}

fn spec_to_wire(spec: &TaskSpec) -> wire::TaskSpec {
    let TaskSpec { container, resources, restart, placement, log_driver, networks, force_update } =
        spec;
    let pids = resources
        .as_ref()
        .and_then(|resources| resources.limits.as_ref())
        .map_or(0, |limits| limits.pids);
    wire::TaskSpec {
        runtime: Some(wire::task_spec::Runtime::Container(Box::new(container_to_wire(
            container, pids,
        )))),
        resources: resources.as_ref().map(requirements_to_wire),
        restart: restart.as_ref().map(restart_to_wire),
        placement: placement.as_ref().map(placement_to_wire),
        log_driver: log_driver.as_ref().map(driver_to_wire),
        networks: networks.iter().map(attachment_spec_to_wire).collect(),
        force_update: *force_update,
        resource_references: Vec::new(),
    }
}

fn spec_from_wire(spec: wire::TaskSpec) -> Result<TaskSpec, ConvertError> {
    let wire::TaskSpec {
        runtime,
        resources,
        restart,
        placement,
        log_driver,
        networks,
        force_update,
        // What the task may see; the dispatcher has acted on it.
        resource_references: _,
    } = spec;
    Ok(TaskSpec {
        container: runtime_from_wire(runtime.ok_or(ConvertError::missing("task's runtime"))?)?,
        resources: resources.map(requirements_from_wire),
        restart: restart.map(restart_from_wire).transpose()?,
        placement: placement.map(placement_from_wire),
        log_driver: log_driver.map(driver_from_wire),
        networks: networks.into_iter().map(attachment_spec_from_wire).collect(),
        force_update,
    })
}

fn runtime_from_wire(runtime: wire::task_spec::Runtime) -> Result<ContainerSpec, ConvertError> {
    match runtime {
        wire::task_spec::Runtime::Container(container) => container_from_wire(*container),
        wire::task_spec::Runtime::Attachment(wire::NetworkAttachmentSpec { container_id: _ }) => {
            Err(ConvertError::new("task's runtime", "network attachments are not supported"))
        }
        wire::task_spec::Runtime::Generic(wire::GenericRuntimeSpec { kind, payload: _ }) => {
            Err(ConvertError::new("task's runtime", format!("{kind:?} is not supported")))
        }
    }
}

fn requirements_to_wire(requirements: &ResourceRequirements) -> wire::ResourceRequirements {
    let ResourceRequirements { limits, reservations } = requirements;
    wire::ResourceRequirements {
        limits: limits.as_ref().map(|limits| {
            // The limit of processes travels in the container's spec.
            let ResourceLimits { nano_cpus, memory_bytes, pids: _ } = limits;
            wire::Resources {
                nano_cpus: *nano_cpus,
                memory_bytes: *memory_bytes,
                generic: Vec::new(),
            }
        }),
        reservations: reservations.as_ref().map(resources_to_wire),
    }
}

fn requirements_from_wire(requirements: wire::ResourceRequirements) -> ResourceRequirements {
    let wire::ResourceRequirements { limits, reservations } = requirements;
    ResourceRequirements {
        limits: limits.map(|limits| {
            let wire::Resources { nano_cpus, memory_bytes, generic: _ } = limits;
            ResourceLimits { nano_cpus, memory_bytes, pids: 0 }
        }),
        reservations: reservations.map(resources_from_wire),
    }
}

fn restart_to_wire(policy: &RestartPolicy) -> wire::RestartPolicy {
    let RestartPolicy { condition, delay, max_attempts, window } = policy;
    let condition = match condition {
        RestartCondition::None => wire::RestartCondition::None,
        RestartCondition::OnFailure => wire::RestartCondition::OnFailure,
        RestartCondition::Any => wire::RestartCondition::Any,
    };
    wire::RestartPolicy {
        condition: condition as i32,
        delay: delay.map(duration_to_wire),
        max_attempts: *max_attempts,
        window: window.map(duration_to_wire),
    }
}

fn restart_from_wire(policy: wire::RestartPolicy) -> Result<RestartPolicy, ConvertError> {
    let wire::RestartPolicy { condition, delay, max_attempts, window } = policy;
    let condition = match wire::RestartCondition::try_from(condition) {
        Ok(wire::RestartCondition::None) => RestartCondition::None,
        Ok(wire::RestartCondition::OnFailure) => RestartCondition::OnFailure,
        Ok(wire::RestartCondition::Any) => RestartCondition::Any,
        Err(error) => return Err(ConvertError::new("restart condition", error)),
    };
    Ok(RestartPolicy {
        condition,
        delay: delay.map(duration_from_wire),
        max_attempts,
        window: window.map(duration_from_wire),
    })
}

fn placement_to_wire(placement: &Placement) -> wire::Placement {
    let Placement { constraints, preferences, max_replicas, platforms } = placement;
    wire::Placement {
        constraints: constraints.clone(),
        preferences: preferences
            .iter()
            .map(|PlacementPreference::Spread { descriptor }| wire::PlacementPreference {
                spread: Some(wire::SpreadOver { spread_descriptor: descriptor.clone() }),
            })
            .collect(),
        platforms: platforms.iter().map(platform_to_wire).collect(),
        max_replicas: *max_replicas,
    }
}

fn placement_from_wire(placement: wire::Placement) -> Placement {
    let wire::Placement { constraints, preferences, platforms, max_replicas } = placement;
    Placement {
        constraints,
        preferences: preferences
            .into_iter()
            .filter_map(|wire::PlacementPreference { spread }| spread)
            .map(|wire::SpreadOver { spread_descriptor }| PlacementPreference::Spread {
                descriptor: spread_descriptor,
            })
            .collect(),
        max_replicas,
        platforms: platforms.into_iter().map(platform_from_wire).collect(),
    }
}
