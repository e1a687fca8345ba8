//! Becoming and ceasing to be a member, and who is kept out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::{TestNode, active, eventually, until};
use shoal_cluster::Command;
use shoal_model::swarm::{Availability, CaConfig, NodeRole, NodeState};
use shoal_model::{Classify, Kind, Timestamp};
use shoal_node::pki::{Identity, PendingKey, RootCa};
use shoal_node::{JoinRequest, LocalNodeState, NodeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_one_knows_itself() {
    let manager = TestNode::new("alone").await;
    let alone = manager.node.info().await;
    assert_eq!((alone.state, alone.control_available), (LocalNodeState::Inactive, false));
    let refused = manager.node.control().err().unwrap().to_string();
    assert!(refused.starts_with("This node is not a swarm manager. Use \"docker swarm init\""));

    let id = manager.init().await.unwrap();
    let info = manager.node.info().await;
    assert_eq!(info.state, LocalNodeState::Active);
    assert_eq!((info.nodes, info.managers), (1, 1));
    assert_eq!(info.node_id.as_ref(), Some(&id));
    assert_eq!(info.node_addr, "127.0.0.1");
    until(&manager.control(), "the manager works, too", |view| {
        view.node(&id).is_some_and(|node| {
            node.status.state == NodeState::Ready
                && node.role == NodeRole::Manager
                && node.hostname() == "alone"
                && node.status.addr == "127.0.0.1"
        })
    })
    .await;

    let again = manager.init().await.unwrap_err();
    assert!(again.to_string().starts_with("This node is already part of a swarm."));
    assert_eq!(again.kind(), Kind::Unavailable);
    assert!(matches!(manager.node.leave(false).await, Err(NodeError::LastManager)));
    manager.node.leave(true).await.unwrap();
    assert_eq!(manager.node.info().await.state, LocalNodeState::Inactive);
    assert!(matches!(manager.node.leave(true).await, Err(NodeError::NothingToLeave)));
    // A new life is possible on the same disk.
    let next = manager.init().await.unwrap();
    assert_ne!(next, id);
    manager.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_join_and_leave() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let id = worker.id().await;
    let info = worker.node.info().await;
    assert_eq!(info.state, LocalNodeState::Active);
    assert!(!info.control_available);
    assert_eq!(info.remote_managers.len(), 1);
    let refused = worker.node.control().err().unwrap().to_string();
    assert!(refused.contains("Worker nodes can't be used to view or modify cluster state"));
    until(&manager.control(), "the worker is ready", |view| {
        view.node(&id).is_some_and(|node| {
            node.status.state == NodeState::Ready && node.hostname() == "worker"
        })
    })
    .await;

    worker.node.leave(false).await.unwrap();
    until(&manager.control(), "the worker is down", |view| {
        view.node(&id).is_some_and(|node| node.status.state == NodeState::Down)
    })
    .await;
    manager
        .control()
        .execute(Command::RemoveNode { node: id.clone(), force: false })
        .await
        .unwrap();
    assert!(manager.control().view().await.unwrap().node(&id).is_none());
    manager.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_stays_out() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let id = worker.id().await;
    manager.control().execute(Command::RemoveNode { node: id, force: true }).await.unwrap();
    eventually("the worker is told", async || {
        worker.node.info().await.error.contains("not found with valid membership")
    })
    .await;
    worker.node.shutdown().await;
    manager.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_manager_is_away_says_which_and_why() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let addr = manager.node.info().await.remote_managers[0].addr.clone();
    manager.node.shutdown().await;
    let mut seen = BTreeSet::new();
    eventually("nobody listens there", async || {
        let error = worker.node.info().await.error;
        let done = error == format!("could not reach a manager at {addr}: connection refused");
        seen.insert(error);
        done
    })
    .await;
    for why in seen {
        // Before it goes, the manager may say so itself.
        let said = why.starts_with("rpc error: code = Aborted desc = ");
        assert!(why.is_empty() || said || why.contains(&addr), "{why}");
    }
    worker.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_token_lets_in() {
    let manager = TestNode::manager().await;
    let other = TestNode::manager().await;
    let stranger = TestNode::new("stranger").await;
    let right = manager.join_request().await;
    let with = |token: &str| JoinRequest { token: token.to_owned(), ..right.clone() };

    // The right cluster, the wrong secret.
    let (head, _) = right.token.rsplit_once('-').unwrap();
    let wrong = format!("{head}-{}", "0".repeat(25));
    let refused = stranger.node.join(with(&wrong)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster"
    );
    assert_eq!(refused.kind(), Kind::Invalid);

    // Another cluster's token: this manager is not whom it was made for.
    let foreign = other.join_request().await.token;
    let refused = stranger.node.join(with(&foreign)).await.unwrap_err();
    assert!(matches!(refused, NodeError::ForeignRoot { .. }), "{refused}");
    assert!(refused.to_string().contains("remote CA does not match fingerprint"));

    let refused = stranger.node.join(with("SWMTKN-1-short")).await.unwrap_err();
    assert_eq!(refused.to_string(), "invalid join token");

    // There is one manager for now.
    let as_manager = manager.node.info().await.cluster.unwrap().root_ca.join_tokens.manager.clone();
    let refused = stranger.node.join(with(&as_manager)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::NotImplemented);

    assert_eq!(stranger.node.info().await.state, LocalNodeState::Inactive);
    assert_eq!(manager.control().view().await.unwrap().nodes().len(), 1);
    stranger.node.join(right).await.unwrap();
    for node in [stranger, other, manager] {
        node.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_is_the_only_one_that_counts() {
    let manager = TestNode::manager().await;
    let old = manager.join_request().await;
    let control = manager.control();
    let cluster = manager.node.info().await.cluster.unwrap();
    let rotate = Command::UpdateCluster {
        version: cluster.meta.version,
        spec: Box::new(cluster.spec),
        new_worker_token: Some(control.new_join_token().await.unwrap()),
        new_manager_token: None,
    };
    control.execute(rotate).await.unwrap();
    let worker = TestNode::new("worker").await;
    assert!(worker.node.join(old).await.is_err());
    worker.node.join(manager.join_request().await).await.unwrap();
    worker.node.shutdown().await;
    manager.node.shutdown().await;
}

/// A worker of another cluster finds our manager at the address it knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_certificate_is_refused() {
    let ours = TestNode::manager().await;
    let theirs = TestNode::manager().await;
    let worker = TestNode::worker("worker", &theirs).await;
    let our_addr = ours.node.info().await.remote_managers[0].addr.clone();
    worker.node.shutdown().await;
    let known = worker.dir.path().join("swarm/managers.json");
    let peers = format!("[{{\"node_id\":\"x\",\"addr\":\"{our_addr}\"}}]");
    std::fs::write(&known, peers).unwrap();
    let worker = worker.restart().await;
    eventually("the manager is not trusted", async || {
        let info = worker.node.info().await;
        let why = format!(
            "could not reach a manager at {our_addr}: its certificate is of another cluster"
        );
        info.state == LocalNodeState::Pending && info.error == why
    })
    .await;
    assert_eq!(ours.control().view().await.unwrap().nodes().len(), 1);
    for node in [worker, theirs, ours] {
        node.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_harms_nobody() {
    let manager = TestNode::manager().await;
    let addr = manager.node.info().await.remote_managers[0].addr.clone();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(&addr).await.unwrap());
    }
    let pieces: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0x16, 0x03, 0x01, 0xff, 0xff, 0x01, 0x00],
        &[0xff; 4096],
        b"\0",
    ];
    for piece in pieces {
        let mut stream = TcpStream::connect(&addr).await.unwrap();
        stream.write_all(piece).await.unwrap();
        stream.shutdown().await.unwrap();
        // Whatever it answers, it ends.
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer))
            .await
            .expect("the connection ends");
    }
    let worker = TestNode::worker("worker", &manager).await;
    active(&worker).await;
    worker.node.shutdown().await;
    manager.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_drained_if_it_wants() {
    let manager = TestNode::manager().await;
    let worker = TestNode::new("worker").await;
    let request = JoinRequest { availability: Availability::Drain, ..manager.join_request().await };
    worker.node.join(request).await.unwrap();
    let id = worker.id().await;
    let view = manager.control().view().await.unwrap();
    assert_eq!(view.node(&id).unwrap().spec.availability, Availability::Drain);
    worker.node.shutdown().await;
    manager.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let manager = TestNode::manager().await;
    let addr = manager.node.info().await.remote_managers[0].addr.clone();
    let second = TestNode::new("second").await;
    let request = shoal_node::InitRequest { listen_addr: addr.clone(), ..Default::default() };
    let error = second.node.init(request).await.unwrap_err();
    assert!(error.chain().contains(&addr), "{}", error.chain());
    assert_eq!(second.node.info().await.state, LocalNodeState::Inactive);
    manager.node.shutdown().await;
}

/// What the join was writing must not come after what leaving removes.
#[tokio::test(flavor = "multi_thread")]
async fn leaving_in_the_middle_of_a_join_leaves_nothing() {
    let manager = TestNode::manager().await;
    let worker = TestNode::new("worker").await;
    let swarm = worker.dir.path().join("swarm");
    for _ in 0..10 {
        let (node, request) = (Arc::clone(&worker.node), manager.join_request().await);
        let joining = tokio::spawn(async move { node.join(request).await });
        // The membership is about to be written.
        while !swarm.join("certificates/swarm-node.crt").exists() {
            tokio::task::yield_now().await;
        }
        worker.node.leave(true).await.unwrap();
        // Nothing may come late, either.
        let _ = joining.await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!swarm.join("state.json").exists(), "the membership came back");
        assert_eq!(worker.node.info().await.state, LocalNodeState::Inactive);
    }
    manager.node.shutdown().await;
    worker.node.shutdown().await;
}

/// A certificate of a node that was away for too long.
fn let_expire(root: &RootCa, node: &TestNode) {
    let file = |name: &str| node.dir.path().join("swarm/certificates").join(name);
    let certificate = std::fs::read(file("swarm-node.crt")).unwrap();
    let key = std::fs::read(file("swarm-node.key")).unwrap();
    let current = Identity::from_pem(&certificate, &key).unwrap();
    let pending = PendingKey::generate().unwrap();
    let then = Timestamp::from_seconds(1_000_000_000);
    let issued =
        root.issue(pending.csr_pem(), current.name(), then, Duration::from_secs(3600)).unwrap();
    let expired = pending.complete(&issued).unwrap();
    std::fs::write(file("swarm-node.crt"), expired.certificate_pem()).unwrap();
    std::fs::write(file("swarm-node.key"), expired.key_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_manager_helps_itself_and_an_expired_worker_is_told_what_to_do() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let stored = manager.node.info().await.cluster.unwrap().root_ca;
    let root = RootCa::from_pem(stored.certificate_pem.as_bytes(), Some(&stored.key_pem)).unwrap();
    let_expire(&root, &manager);
    let_expire(&root, &worker);
    let (manager, worker) = (manager.restart().await, worker.restart().await);
    active(&manager).await;
    eventually("the worker is told", async || {
        worker.node.info().await.error.ends_with("let it leave the swarm and join it again")
    })
    .await;
    worker.node.leave(false).await.unwrap();
    worker.node.join(manager.join_request().await).await.unwrap();
    active(&worker).await;
    worker.node.shutdown().await;
    manager.node.shutdown().await;
}

/// Certificates are backdated by an hour, so one that lives ten minutes is due at once.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_in_time() {
    let manager = TestNode::new("manager").await;
    let ca = CaConfig { node_cert_expiry: Duration::from_secs(600), ..CaConfig::default() };
    manager.init_with(ca).await.unwrap();
    let worker = TestNode::worker("worker", &manager).await;
    let id = worker.id().await;
    for node in [&manager, &worker] {
        let file = node.dir.path().join("swarm/certificates/swarm-node.crt");
        let first = std::fs::read(&file).unwrap();
        eventually("a new certificate", async || std::fs::read(&file).unwrap() != first).await;
    }
    // Both go on under their old names, also after a restart.
    let (worker, manager) = (worker.restart().await, manager.restart().await);
    assert_eq!(worker.id().await, id);
    active(&worker).await;
    until(&manager.control(), "both are ready", |view| {
        view.nodes().len() == 2 && view.nodes().all(|node| node.status.state == NodeState::Ready)
    })
    .await;
    worker.node.shutdown().await;
    manager.node.shutdown().await;
}

/// Renewal comes too late, as after a long sleep of the machine: what a certificate of two seconds
/// and a pause of hours between two tries make of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_manager_whose_certificate_expires_while_it_runs_gets_the_next() {
    let manager = TestNode::with_timers("manager", |timers| {
        timers.renewal_pause = Duration::from_secs(10_000);
    })
    .await;
    let ca = CaConfig { node_cert_expiry: Duration::from_secs(2), ..CaConfig::default() };
    manager.init_with(ca).await.unwrap();
    let stop = CancellationToken::new();
    let mending = tokio::spawn({
        let (node, stop) = (Arc::clone(&manager.node), stop.clone());
        async move { node.mend(stop).await }
    });
    let file = manager.dir.path().join("swarm/certificates/swarm-node.crt");
    let mut seen = BTreeSet::new();
    // The first and its renewal, the one it gave itself and the renewal of that.
    eventually("certificates of its own", async || {
        seen.insert(std::fs::read(&file).unwrap_or_default());
        seen.len() >= 4
    })
    .await;
    active(&manager).await;
    stop.cancel();
    mending.await.unwrap();
    manager.node.shutdown().await;
}
