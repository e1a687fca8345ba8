//! This node as a worker of a real Docker swarm: it joins with Docker's command, runs a service's
//! tasks, hands out their logs and leaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod common;

use common::dockerd::{ADDRESS, Dockerd, run_inside, within};
use common::{TestNode, active, eventually};
use shoal_node::JoinRequest;

#[test]
fn this_node_works_for_a_docker_manager() {
    run_inside("inside_the_namespaces");
}

/// Does nothing unless the test above runs it.
#[test]
fn inside_the_namespaces() {
    within(the_whole_life);
}

async fn the_whole_life() {
    let dockerd = Dockerd::start().await;
    dockerd.docker(&["swarm", "init", "--advertise-addr", ADDRESS]);
    let token = dockerd.docker(&["swarm", "join-token", "--quiet", "worker"]);
    let worker = TestNode::new("shoal-worker").await;
    let request = JoinRequest {
        remote_addrs: vec![ADDRESS.to_owned()],
        token: token.clone(),
        ..JoinRequest::default()
    };
    let wrong = JoinRequest {
        token: format!("{}-{}", token.rsplit_once('-').unwrap().0, "1".repeat(25)),
        ..request.clone()
    };
    let refused = worker.node.join(wrong).await.unwrap_err().to_string();
    assert!(refused.contains("A valid join token is necessary to join this cluster"), "{refused}");
    worker.node.join(request).await.unwrap();
    let listed = || dockerd.docker(&["node", "ls", "--format", "{{.Hostname}} {{.Status}}"]);
    eventually("Docker sees the node", async || listed().contains("shoal-worker Ready")).await;

    std::fs::write(dockerd.path("key"), "hush").unwrap();
    let key = dockerd.path("key").display().to_string();
    dockerd.docker(&["secret", "create", "key", &key]);
    dockerd.docker(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "ticker",
        "--network",
        "host",
        "--constraint",
        "node.role==worker",
        "--replicas",
        "2",
        "--secret",
        "key",
        "ticker:1",
    ]);
    eventually("two tasks run", async || worker.machine.running() == 2).await;
    assert_eq!(worker.machine.images(), ["ticker:1", "ticker:1"]);
    assert_eq!(worker.machine.secrets(), [b"hush", b"hush"]);
    let shown =
        || dockerd.docker(&["service", "ps", "ticker", "--format", "{{.Node}} {{.CurrentState}}"]);
    eventually("Docker sees them run", async || {
        shown().matches("shoal-worker Running").count() == 2
    })
    .await;

    for task in worker.machine.all() {
        worker.machine.print(&task, "a line from shoal");
    }
    let logs = dockerd.docker(&["service", "logs", "ticker"]);
    assert_eq!(logs.matches("a line from shoal").count(), 2, "{logs}");

    let worker = worker.restart().await;
    active(&worker).await;
    dockerd.docker(&["service", "scale", "--detach", "ticker=3"]);
    eventually("a third task runs", async || worker.machine.running() == 3).await;
    assert_eq!(worker.machine.starts(), 3);
    dockerd.docker(&["service", "rm", "ticker"]);
    eventually("nothing is left", async || worker.machine.all().is_empty()).await;
    worker.node.leave(false).await.unwrap();
    drop(dockerd);
}
