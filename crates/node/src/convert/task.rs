//! Tasks and their status.

use shoal_model::swarm::{
    ContainerSpec, ContainerStatus, Placement, PlacementPreference, ResourceLimits,
    ResourceRequirements, RestartCondition, RestartPolicy, Task, TaskOrigin, TaskSpec, TaskState,
    TaskStatus,
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
    // The last three are the manager's own.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message;
    use shoal_model::swarm::*;
    use shoal_model::{Platform, Timestamp};

    use super::*;

    fn id(letter: &str) -> String {
        letter.repeat(25)
    }

    /// A task in which no field has its default value.
    fn full_task() -> Task {
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
        let pair = || [("key".to_owned(), "value".to_owned())].into();
        let named = Annotations { name: "web".into(), labels: pair() };
        let port = PortConfig {
            name: "http".into(),
            protocol: PortProtocol::Udp,
            target_port: 80,
            published_port: 8080,
            publish_mode: PublishMode::Host,
        };
        let file = FileTarget { name: "f".into(), uid: "1".into(), gid: "2".into(), mode: 0o400 };
        let container = ContainerSpec {
            image: "busybox@sha256:0".into(),
            labels: pair(),
            command: vec!["sh".into()],
            args: vec!["-c".into()],
            env: vec!["A=b".into()],
            dir: "/w".into(),
            user: "u".into(),
            groups: vec!["g".into()],
            hostname: "h".into(),
            tty: true,
            open_stdin: true,
            read_only: true,
            mounts: vec![Mount {
                kind: MountKind::Volume,
                source: "v".into(),
                target: "/v".into(),
                read_only: true,
                consistency: "cached".into(),
                bind: Some(BindOptions {
                    propagation: "rshared".into(),
                    non_recursive: true,
                    create_mountpoint: true,
                    read_only_non_recursive: true,
                    read_only_force_recursive: true,
                }),
                volume: Some(VolumeOptions {
                    no_copy: true,
                    labels: pair(),
                    driver: Some(Driver { name: "local".into(), options: pair() }),
                    subpath: "p".into(),
                }),
                tmpfs: Some(TmpfsOptions { size_bytes: 5, mode: 0o700, options: "o".into() }),
            }],
            stop_signal: "SIGINT".into(),
            stop_grace_period: Some(Duration::from_millis(1500)),
            registry_auth: "token".into(),
            health_check: Some(HealthConfig {
                test: vec!["CMD".into()],
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(2),
                retries: 3,
                start_period: Duration::from_secs(4),
                start_interval: Duration::from_secs(5),
            }),
            hosts: vec!["1.2.3.4 h".into()],
            dns: Some(DnsConfig {
                nameservers: vec!["1.1.1.1".into()],
                search: vec!["s".into()],
                options: vec!["o".into()],
            }),
            secrets: vec![SecretRef {
                secret_id: id("s").parse().unwrap(),
                secret_name: "s".into(),
                file: file.clone(),
            }],
            configs: vec![
                ConfigRef {
                    config_id: id("c").parse().unwrap(),
                    config_name: "c".into(),
                    target: ConfigTarget::File(file),
                },
                ConfigRef {
                    config_id: id("d").parse().unwrap(),
                    config_name: "d".into(),
                    target: ConfigTarget::Runtime,
                },
            ],
            isolation: "process".into(),
            init: Some(true),
            sysctls: pair(),
            cap_add: vec!["CAP_A".into()],
            cap_drop: vec!["CAP_B".into()],
            ulimits: vec![Ulimit { name: "nofile".into(), soft: 1, hard: 2 }],
            pids_limit: 77,
            oom_score_adj: 5,
            privileges: Some(Privileges {
                credential_spec: Some(CredentialSpec::File("f".into())),
                selinux: Some(SELinuxContext {
                    disable: true,
                    user: "u".into(),
                    role: "r".into(),
                    kind: "t".into(),
                    level: "l".into(),
                }),
                seccomp: Some(SeccompMode::Custom(vec![1, 2])),
                apparmor: Some(AppArmorMode::Disabled),
                no_new_privileges: true,
            }),
        };
        let spec = TaskSpec {
            container,
            resources: Some(ResourceRequirements {
                limits: Some(ResourceLimits { nano_cpus: 1, memory_bytes: 2, pids: 0 }),
                reservations: Some(Resources {
                    nano_cpus: 3,
                    memory_bytes: 4,
                    generic: vec![
                        GenericResource::Named { kind: "GPU".into(), value: "a".into() },
                        GenericResource::Discrete { kind: "SSD".into(), value: 2 },
                    ],
                }),
            }),
            restart: Some(RestartPolicy {
                condition: RestartCondition::OnFailure,
                delay: Some(Duration::from_secs(1)),
                max_attempts: 2,
                window: Some(Duration::from_secs(3)),
            }),
            placement: Some(Placement {
                constraints: vec!["node.role==worker".into()],
                preferences: vec![PlacementPreference::Spread {
                    descriptor: "node.labels.z".into(),
                }],
                max_replicas: 4,
                platforms: vec![Platform {
                    os: "linux".into(),
                    architecture: "riscv64".into(),
                    variant: String::new(),
                }],
            }),
            log_driver: Some(Driver { name: "json-file".into(), options: pair() }),
            networks: vec![NetworkAttachmentSpec {
                target: "host".into(),
                aliases: vec!["a".into()],
                driver_options: pair(),
            }],
            force_update: 6,
        };
        Task {
            id: id("t").parse().unwrap(),
            meta: Meta { version: Version(7), created_at: time, updated_at: time },
            spec: spec.into(),
            spec_version: Version(8),
            service_id: id("v").parse().unwrap(),
            slot: 9,
            node_id: Some(id("n").parse().unwrap()),
            service_annotations: named,
            status: TaskStatus {
                timestamp: time,
                state: TaskState::Running,
                message: "started".into(),
                err: "none".into(),
                container: Some(ContainerStatus {
                    container_id: "x".into(),
                    pid: 10,
                    exit_code: -1,
                }),
                ports: vec![port.clone()],
                applied_by: Some(id("n").parse().unwrap()),
                applied_at: Some(time),
            },
            desired_state: TaskState::Shutdown,
            networks: vec![NetworkAttachment {
                network: "host".into(),
                addresses: vec!["10.0.0.2/24".into()],
                aliases: vec!["web".into()],
                driver_options: pair(),
            }],
            endpoint: Some(Endpoint {
                spec: EndpointSpec { mode: EndpointMode::DnsRoundRobin, ports: vec![port.clone()] },
                ports: vec![port],
                virtual_ips: vec![VirtualIp { network_id: "n".into(), addr: "10.0.0.1/24".into() }],
            }),
            log_driver: Some(Driver { name: "json-file".into(), options: pair() }),
            origin: TaskOrigin::default(),
            start_after: None,
            started_at: None,
        }
    }

    #[test]
    fn a_task_with_every_field_survives_the_wire() {
        let task = full_task();
        let bytes = task_to_wire(&task).encode_to_vec();
        let back = task_from_wire(wire::Task::decode(bytes.as_slice()).unwrap()).unwrap();
        assert_eq!(back, task);
    }

    #[test]
    fn credentials_travel_under_the_number_docker_reads() {
        let bytes = wire::PullOptions { registry_auth: "x".into() }.encode_to_vec();
        // Field 64, length-delimited.
        assert_eq!(bytes, [0x82, 0x04, 1, b'x']);
    }

    #[test]
    fn what_cannot_run_here_is_refused_by_name() {
        let mut plugin = task_to_wire(&full_task());
        plugin.spec.as_mut().unwrap().runtime =
            Some(wire::task_spec::Runtime::Generic(wire::GenericRuntimeSpec {
                kind: "plugin".into(),
                payload: None,
            }));
        assert_eq!(
            task_from_wire(plugin).unwrap_err().to_string(),
            "task's runtime: \"plugin\" is not supported"
        );
        let mut overlay = task_to_wire(&full_task());
        let spec = overlay.networks[0].network.as_mut().unwrap().spec.as_mut().unwrap();
        spec.annotations = Some(wire::Annotations { name: "mynet".into(), ..Default::default() });
        let error = task_from_wire(overlay).unwrap_err().to_string();
        assert!(error.contains("mynet"), "{error}");
        let unknown = wire::TaskStatus { state: 3, ..Default::default() };
        assert!(status_from_wire(unknown).is_err());
    }
}
