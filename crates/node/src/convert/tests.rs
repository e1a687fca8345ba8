//! Nothing may be lost between the wire and the domain.

use std::time::Duration;

use prost::Message;
use shoal_model::swarm::*;
use shoal_model::{Platform, Timestamp};

use super::{status_from_wire, task_from_wire, task_to_wire};
use crate::wire;

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
            preferences: vec![PlacementPreference::Spread { descriptor: "node.labels.z".into() }],
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
            container: Some(ContainerStatus { container_id: "x".into(), pid: 10, exit_code: -1 }),
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
        created_in: Version::default(),
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
