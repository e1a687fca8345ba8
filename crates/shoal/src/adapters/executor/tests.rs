//! The contract of executors on a real engine, and what a task's spec becomes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::slice;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use shoal_build::testing::busybox_rootfs;
use shoal_cluster::agent::contract::{self, Program};
use shoal_cluster::agent::{LogLine, SinkClosed};
use shoal_engine::domain::{HostPort, ListFilter, MountKind, NetworkMode, Port};
use shoal_image::ImportOptions;
use shoal_model::Timestamp;
use shoal_model::swarm::{
    Annotations, ContainerSpec, Endpoint, EndpointSpec, FileTarget, HealthConfig, Meta,
    NetworkAttachmentSpec, ResourceRequirements, SecretRef, Shared, Task, TaskOrigin, TaskSpec,
    TaskState, TaskStatus, Version,
};

use super::*;
use crate::adapters::test_machine::{Machine, on_machine};

fn task(number: u32, container: ContainerSpec) -> Task {
    let spec = TaskSpec {
        container,
        networks: vec![NetworkAttachmentSpec {
            target: "host".into(),
            aliases: Vec::new(),
            driver_options: BTreeMap::new(),
        }],
        ..TaskSpec::default()
    };
    Task {
        id: format!("{number:0>25}").parse().unwrap(),
        meta: Meta::default(),
        spec: Shared::new(spec),
        spec_version: Version(1),
        service_id: format!("{:s>25}", "").parse().unwrap(),
        slot: 3,
        node_id: Some(format!("{:n>25}", "").parse().unwrap()),
        service_annotations: Annotations::named("web"),
        status: TaskStatus::new(TaskState::Assigned, "", Timestamp::from_nanos(0)),
        desired_state: TaskState::Running,
        networks: Vec::new(),
        endpoint: None,
        log_driver: None,
        origin: TaskOrigin::Fill,
        start_after: None,
        started_at: None,
        created_in: Version::default(),
    }
}

fn work(task: Task) -> Work {
    Work { task: Arc::new(task), secrets: Vec::new(), configs: Vec::new() }
}

fn shell(image: &str, line: &str) -> ContainerSpec {
    ContainerSpec {
        image: image.into(),
        command: vec!["/bin/sh".into(), "-c".into(), line.into()],
        ..ContainerSpec::default()
    }
}

/// An executor on a machine with one image.
fn executor(machine: &Machine) -> EngineExecutor {
    let name = "busybox:latest".parse().unwrap();
    let rootfs = busybox_rootfs().unwrap();
    machine.images.import(rootfs.as_slice(), ImportOptions::default(), Some(&name)).unwrap();
    EngineExecutor::new(machine.engine.clone(), machine.images.clone(), Vec::new())
}

#[test]
fn the_engines_executor_keeps_the_contract() {
    on_machine("executor", |machine| async move {
        let executor = executor(&machine);
        let mut number = 0;
        contract::run(&executor, |program| {
            number += 1;
            work(task(
                number,
                match program {
                    Program::RunsUntilStopped => {
                        shell("busybox", "trap 'exit 0' TERM; while :; do sleep 0.1; done")
                    }
                    Program::ExitsWith3 => shell("busybox", "exit 3"),
                    Program::WritesLines => {
                        shell("busybox", "echo one; echo two; echo three; echo four >&2")
                    }
                    Program::MissingImage => shell("no-such-image:1", "true"),
                },
            ))
        })
        .await;
        assert_eq!(executor.known_tasks().await.unwrap(), [], "nothing of a task is left");
        machine.close().await;
    });
}

/// Polls a future so many times, then drops it.
async fn polled<T>(future: impl Future<Output = T>, times: u32) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls == times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[test]
fn a_task_called_off_while_it_is_made_leaves_nothing() {
    on_machine("called-off", |machine| async move {
        let executor = executor(&machine);
        // The first one pulls; the others only make.
        let first = work(task(0, shell("busybox", "true")));
        executor.prepare(&first).await.unwrap();
        executor.remove(&first.task.id).await.unwrap();
        let mut dropped_while_made = 0;
        for number in 1..=40 {
            let job = work(task(number, shell("busybox", "true")));
            polled(executor.prepare(&job), 1 + number % 4).await.transpose().unwrap();
            dropped_while_made += executor.makes.len();
            if number % 2 == 0 {
                executor.shutdown(&job).await.unwrap();
            }
            executor.remove(&job.task.id).await.unwrap();
            assert_eq!(executor.observe(&job.task.id).await, Ok(None));
        }
        assert!(dropped_while_made > 0, "no container was being made");
        assert_eq!(executor.known_tasks().await.unwrap(), []);
        machine.engine.close().await;
        let all = ListFilter { all: true, ..ListFilter::default() };
        assert_eq!(executor.containers().list(&all).unwrap().len(), 0);
        machine.close().await;
    });
}

#[test]
fn a_task_whose_container_is_coming_is_known_and_made_once() {
    on_machine("coming", |machine| async move {
        let executor = executor(&machine);
        let job = work(task(1, shell("busybox", "true")));
        let coming = executor.index.begin(&job.task.id).unwrap();
        assert_eq!(executor.known_tasks().await.unwrap(), slice::from_ref(&job.task.id));
        assert!(executor.index.begin(&job.task.id).is_none());
        let given_up = async {
            tokio::task::yield_now().await;
            drop(coming);
        };
        let (prepared, ()) = tokio::join!(executor.prepare(&job), given_up);
        prepared.unwrap();
        executor.remove(&job.task.id).await.unwrap();
        machine.close().await;
    });
}

/// A task that runs on and is found unhealthy at the first look.
async fn started_sick(executor: &EngineExecutor) -> Work {
    let mut spec = shell("busybox", "exec sleep 600");
    spec.stop_grace_period = Some(Duration::from_secs(1));
    spec.health_check = Some(HealthConfig {
        test: vec!["CMD".into(), "/bin/false".into()],
        interval: Duration::from_millis(50),
        retries: 1,
        ..HealthConfig::default()
    });
    let job = work(task(1, spec));
    executor.prepare(&job).await.unwrap();
    executor.start(&job).await.unwrap();
    job
}

#[test]
fn a_program_that_is_not_there_fails_the_start_and_its_followers_end() {
    on_machine("unstartable", |machine| async move {
        let executor = executor(&machine);
        let spec = ContainerSpec { command: vec!["/no/such".into()], ..shell("busybox", "") };
        let job = work(task(1, spec));
        executor.prepare(&job).await.unwrap();
        let why = executor.start(&job).await.unwrap_err().to_string();
        assert!(why.starts_with("starting container failed: failed to create task"), "{why}");
        let follow = LogOptions { follow: true, ..LogOptions::default() };
        executor.logs(&job.task.id, &follow, &mut Nobody).await.unwrap();
        executor.remove(&job.task.id).await.unwrap();
        machine.close().await;
    });
}

/// Whoever wants no line.
struct Nobody;

impl LogSink for Nobody {
    async fn send(&mut self, line: LogLine) -> Result<(), SinkClosed> {
        panic!("a line of what never ran: {line:?}");
    }
}

#[test]
fn a_container_that_turns_unhealthy_while_it_starts_is_stopped() {
    on_machine("unhealthy", |machine| async move {
        let executor = executor(&machine);
        let job = started_sick(&executor).await;
        let error = executor.ready(&job.task.id).await.unwrap_err();
        let text = "task: non-zero exit (137): dockerexec: unhealthy container";
        assert_eq!(error, ExecutorError::Fatal(text.to_owned()));
        let seen = executor.observe(&job.task.id).await.unwrap().unwrap();
        assert_eq!((seen.container.pid, seen.container.exit_code), (0, 137), "it runs on");
        executor.remove(&job.task.id).await.unwrap();
        machine.close().await;
    });
}

/// Nothing is published any more by the time somebody waits.
#[test]
fn a_container_that_is_unhealthy_already_is_stopped_when_it_is_waited_for() {
    on_machine("sick", |machine| async move {
        let executor = executor(&machine);
        let job = started_sick(&executor).await;
        let id = executor.must_find(&job.task.id).unwrap();
        let mut watch = executor.containers().watch(id.as_str()).unwrap();
        watch.until(|state| health(state) == Some(HealthStatus::Unhealthy)).await.unwrap();
        let waited = tokio::time::timeout(Duration::from_secs(30), executor.wait(&job.task.id));
        let exit = waited.await.unwrap().unwrap();
        assert_eq!(exit, Exit { code: 137, cause: Some(UNHEALTHY.to_owned()) });
        executor.remove(&job.task.id).await.unwrap();
        machine.close().await;
    });
}

#[test]
fn a_program_that_fails_before_it_is_healthy_is_not_ready() {
    on_machine("failing", |machine| async move {
        let executor = executor(&machine);
        let mut spec = shell("busybox", "sleep 0.2; exit 4");
        spec.health_check = Some(HealthConfig {
            test: vec!["CMD".into(), "/bin/true".into()],
            interval: Duration::from_secs(600),
            ..HealthConfig::default()
        });
        let job = work(task(1, spec));
        executor.prepare(&job).await.unwrap();
        executor.start(&job).await.unwrap();
        let error = executor.ready(&job.task.id).await.unwrap_err();
        assert_eq!(error, ExecutorError::Fatal("task: non-zero exit (4)".to_owned()));
        executor.remove(&job.task.id).await.unwrap();
        machine.close().await;
    });
}

#[test]
fn a_program_that_ends_at_once_has_started() {
    on_machine("started", |machine| async move {
        let executor = executor(&machine);
        let job = work(task(1, shell("busybox", "exit 0")));
        executor.prepare(&job).await.unwrap();
        let id = executor.must_find(&job.task.id).unwrap();
        executor.containers().start(id.as_str()).await.unwrap();
        executor.wait(&job.task.id).await.unwrap();
        // The look at its health comes too late to see it run.
        executor.wait_healthy(&id).await.unwrap();
        executor.remove(&job.task.id).await.unwrap();
        machine.close().await;
    });
}

#[test]
fn a_spec_becomes_a_container() {
    let mut spec = shell("busybox", "true");
    spec.hostname = "{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}".into();
    spec.env = vec!["SLOT={{.Task.Slot}}".into(), "PLAIN=1".into()];
    spec.mounts = vec![swarm::Mount {
        kind: swarm::MountKind::Volume,
        source: "data-{{.Task.Slot}}".into(),
        target: "/data".into(),
        ..swarm::Mount::default()
    }];
    let mut one = task(1, spec);
    let memory = |bytes: i64| swarm::Resources { memory_bytes: bytes, ..Default::default() };
    let mut asked = TaskSpec::clone(&one.spec);
    asked.resources = Some(ResourceRequirements {
        limits: Some(swarm::ResourceLimits { memory_bytes: 16 << 20, ..Default::default() }),
        reservations: Some(memory(64 << 20)),
    });
    one.spec = Shared::new(asked);
    let port = PortConfig {
        name: String::new(),
        protocol: PortProtocol::Tcp,
        target_port: 80,
        published_port: 8080,
        publish_mode: PublishMode::Host,
    };
    one.endpoint = Some(Endpoint {
        spec: EndpointSpec::default(),
        ports: vec![
            port.clone(),
            PortConfig { publish_mode: PublishMode::Ingress, target_port: 81, ..port },
        ],
        virtual_ips: Vec::new(),
    });
    let mut node = describe::describe(&[]);
    node.hostname = "ann".into();
    let request = container::request(&work(one), &node).unwrap();
    assert_eq!(request.name.unwrap(), "web.3.0000000000000000000000001");
    assert_eq!(request.config.hostname.as_deref(), Some("web-3-ann"));
    assert_eq!(request.config.env, ["SLOT=3", "PLAIN=1"]);
    assert_eq!(request.config.labels["com.docker.swarm.service.name"], "web");
    assert_eq!(request.host.network_mode, NetworkMode::Host);
    assert_eq!(request.host.resources.memory_bytes, Some(16 << 20));
    let reserved = request.host.resources.memory_reservation_bytes;
    assert_eq!(reserved, None, "what is reserved is the scheduler's business");
    let MountKind::Volume { name, .. } = &request.host.mounts[0].kind else { panic!("no volume") };
    assert_eq!(name.as_deref(), Some("data-3"));
    let port: Port = "80/tcp".parse().unwrap();
    assert_eq!(request.host.port_bindings.len(), 1, "the mesh's ports are not the container's");
    let HostPort::Range { first: 8080, .. } = request.host.port_bindings[&port][0].host_port else {
        panic!("another port");
    };
}

#[test]
fn what_this_node_cannot_do_is_said() {
    let node = describe::describe(&[]);
    let mut secret = shell("busybox", "true");
    secret.secrets = vec![SecretRef {
        secret_id: format!("{:x>25}", "").parse().unwrap(),
        secret_name: "key".into(),
        file: FileTarget { name: "key".into(), uid: "0".into(), gid: "0".into(), mode: 0o400 },
    }];
    let mut wrong = shell("busybox", "true");
    wrong.env = vec!["X={{.Nothing}}".into()];
    let mut nameless = shell("busybox", "true");
    nameless.hostname = "{{.Nobody}}".into();
    let mut sourced = shell("busybox", "true");
    sourced.mounts = vec![swarm::Mount {
        kind: swarm::MountKind::Tmpfs,
        source: "foo".into(),
        target: "/x".into(),
        ..swarm::Mount::default()
    }];
    let init = ContainerSpec { init: Some(true), ..shell("busybox", "true") };
    for (spec, word) in [
        (secret, "secrets of a service are not supported"),
        (wrong, "expanding env failed: \"X={{.Nothing}}\""),
        (nameless, "expanding hostname failed: \"{{.Nobody}}\""),
        (sourced, "invalid tmpfs source, source must be empty"),
        (init, "an init process (--init) in a service's containers is not supported"),
    ] {
        let error = container::request(&work(task(1, spec)), &node).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}
