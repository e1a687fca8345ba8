//! A real Docker Engine as a worker of our manager: it joins with the printed command, runs a
//! service, hands out its logs, survives our restart, is drained and leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod common;

use std::process::Command as Process;
use std::time::Duration;

use common::dockerd::{ADDRESS, Dockerd, run_inside, within};
use common::{TestNode, create, eventually, scale, service, until, until_running};
use futures_util::StreamExt;
use shoal_cluster::{Command, Outcome};
use shoal_model::SwarmNodeId;
use shoal_model::swarm::{
    Annotations, Availability, ConfigRef, ConfigSpec, ConfigTarget, FileTarget,
    NetworkAttachmentSpec, NodeState, SecretRef, SecretSpec, ServiceSpec, Shared, TaskState,
};
use shoal_node::{Control, InitRequest, LogOptions, LogSelector};

#[test]
fn a_docker_engine_works_for_this_manager() {
    run_inside("inside_the_namespaces");
}

/// Does nothing unless the test above runs it.
#[test]
fn inside_the_namespaces() {
    within(the_whole_life);
}

async fn set_availability(control: &Control, node: &SwarmNodeId, availability: Availability) {
    let view = control.view().await.unwrap();
    let node = view.node(node).unwrap();
    let mut spec = node.spec.clone();
    spec.availability = availability;
    let update = Command::UpdateNode { node: node.id.clone(), version: node.meta.version, spec };
    control.execute(update).await.unwrap();
}

/// Prints its secret and its config, then ticks.
async fn ticker(control: &Control) -> ServiceSpec {
    let secret = SecretSpec { annotations: Annotations::named("key"), data: b"hush".to_vec() };
    let Outcome::Secret(secret_id) = control.execute(Command::CreateSecret(secret)).await.unwrap()
    else {
        panic!("no secret");
    };
    let config = ConfigSpec { annotations: Annotations::named("conf"), data: b"loud".to_vec() };
    let Outcome::Config(config_id) = control.execute(Command::CreateConfig(config)).await.unwrap()
    else {
        panic!("no config");
    };
    let file = |name: &str| FileTarget {
        name: name.to_owned(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: 0o444,
    };
    let mut spec = service("ticker", 1);
    let task = Shared::make_mut(&mut spec.task);
    task.networks = vec![NetworkAttachmentSpec { target: "host".to_owned(), ..Default::default() }];
    let container = &mut task.container;
    container.image = "ticker:1".to_owned();
    let script = "cat /run/secrets/key /conf; echo; trap 'exit 0' TERM; \
                  n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.1; done";
    container.command = ["sh", "-c", script].map(str::to_owned).to_vec();
    container.secrets =
        vec![SecretRef { secret_id, secret_name: "key".to_owned(), file: file("key") }];
    container.configs = vec![ConfigRef {
        config_id,
        config_name: "conf".to_owned(),
        target: ConfigTarget::File(file("/conf")),
    }];
    spec
}

async fn the_whole_life() {
    let manager = TestNode::new("manager").await;
    // No address is given: the one there is, is found.
    manager.node.init(InitRequest::default()).await.unwrap();
    let own = manager.id().await;
    let info = manager.node.info().await;
    assert_eq!(info.node_addr, ADDRESS);
    let control = manager.control();
    set_availability(&control, &own, Availability::Drain).await;

    let dockerd = Dockerd::start().await;
    dockerd.import_busybox();

    // A wrong token first: Docker shows our words.
    let token = info.cluster.as_ref().unwrap().root_ca.join_tokens.worker.clone();
    let (head, _) = token.rsplit_once('-').unwrap();
    let wrong = format!("{head}-{}", "1".repeat(25));
    let addr = info.remote_managers[0].addr.clone();
    let refused = Process::new("docker")
        .args(["-H", &dockerd.host(), "swarm", "join", "--token", &wrong, &addr])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("A valid join token is necessary to join this cluster"), "{words}");

    let joined = dockerd.docker(&["swarm", "join", "--token", &token, &addr]);
    assert!(joined.contains("This node joined a swarm as a worker"), "{joined}");
    let is_worker = |node: &shoal_model::swarm::Node| node.id != own;
    until(&control, "the engine is ready", |view| {
        view.nodes().any(|node| is_worker(node) && node.status.state == NodeState::Ready)
    })
    .await;
    let view = control.view().await.unwrap();
    let engine = view.nodes().find(|node| is_worker(node)).unwrap().clone();
    assert_eq!(engine.status.addr, ADDRESS);
    let description = engine.description.as_ref().unwrap();
    assert!(description.engine.version.starts_with("20.10"), "{description:?}");
    assert!(description.resources.memory_bytes > 0);

    let spec = ticker(&control).await;
    let ticker = create(&control, spec.clone()).await;
    until_running(&control, &ticker, 1).await;
    assert_eq!(dockerd.containers(), 1);
    logs_arrive(&control, &ticker).await;

    scale(&control, &ticker, 3).await;
    until_running(&control, &ticker, 3).await;
    assert_eq!(dockerd.containers(), 3);
    scale(&control, &ticker, 2).await;
    eventually("one is gone", async || dockerd.containers() == 2).await;
    until_running(&control, &ticker, 2).await;

    // Our restart: the engine finds us again, its containers run on.
    let before = dockerd.docker(&["ps", "--quiet", "--no-trunc"]);
    let manager = manager.restart().await;
    let control = manager.control();
    until(&control, "the engine is back", |view| {
        view.node(&engine.id).is_some_and(|node| node.status.state == NodeState::Ready)
    })
    .await;
    until_running(&control, &ticker, 2).await;
    assert_eq!(dockerd.docker(&["ps", "--quiet", "--no-trunc"]), before);

    set_availability(&control, &engine.id, Availability::Drain).await;
    eventually("the drained engine is empty", async || dockerd.containers() == 0).await;
    until(&control, "the reason of waiting is shown", |view| {
        view.tasks_of_service(&ticker).any(|task| {
            task.status.state == TaskState::Pending && task.status.err.contains("no suitable node")
        })
    })
    .await;
    set_availability(&control, &engine.id, Availability::Active).await;
    until_running(&control, &ticker, 2).await;

    dockerd.docker(&["swarm", "leave"]);
    until(&control, "the engine is down", |view| {
        view.node(&engine.id).is_some_and(|node| node.status.state == NodeState::Down)
    })
    .await;
    control.execute(Command::RemoveNode { node: engine.id.clone(), force: false }).await.unwrap();
    let log = dockerd.log();
    assert!(!log.contains("panic"), "{log}");
    drop(dockerd);
    manager.node.shutdown().await;
}

async fn logs_arrive(control: &Control, ticker: &shoal_model::ServiceId) {
    let selector = LogSelector { services: vec![ticker.clone()], ..LogSelector::default() };
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut stream = control.logs(selector.clone(), follow).await.unwrap();
    let mut texts = Vec::new();
    while texts.len() < 12 {
        let next = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.unwrap();
        let line = next.unwrap().unwrap();
        texts.push(String::from_utf8_lossy(&line.data).trim().to_owned());
    }
    assert_eq!(texts[0], "hushloud");
    assert_eq!(texts[1], "tick 1");
    assert_eq!(texts[10], "tick 10");
    drop(stream);
    let tail = LogOptions { tail: Some(3), ..LogOptions::default() };
    let stream = control.logs(selector, tail).await.unwrap();
    let lines: Vec<_> =
        tokio::time::timeout(Duration::from_secs(30), stream.collect()).await.unwrap();
    let lines: Vec<_> = lines.into_iter().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.data.starts_with(b"tick ")));
}
