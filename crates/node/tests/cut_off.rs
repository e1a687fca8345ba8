//! A worker that the network hides from its manager for a while.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{HEARTBEAT, TestNode, create, eventually, service, until, until_running};
use shoal_model::swarm::{ClusterSpec, DispatcherConfig, NodeState};
use shoal_node::InitRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A road to the manager that can be blocked: bytes then stay where they are, connections stay
/// open.
struct Road {
    addr: SocketAddr,
    open: watch::Sender<bool>,
    _work: JoinSet<()>,
}

impl Road {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (open, state) = watch::channel(true);
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut pipes = JoinSet::new();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                pipes.spawn(carry(near_in, far_out, state.clone()));
                pipes.spawn(carry(far_in, near_out, state.clone()));
            }
        });
        Self { addr, open, _work: work }
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let passable = open.wait_for(|open| *open).await.is_ok();
        if !passable || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// A free port, as far as one can know.
async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_cut_moves_nothing_and_a_long_one_moves_everything_once() {
    let listen = free_port().await;
    let road = Road::to(listen).await;
    let manager = TestNode::new("manager").await;
    let spec = ClusterSpec {
        dispatcher: DispatcherConfig { heartbeat_period: HEARTBEAT },
        ..ClusterSpec::default()
    };
    let request = InitRequest {
        listen_addr: listen.to_string(),
        advertise_addr: road.addr.to_string(),
        spec,
        ..InitRequest::default()
    };
    manager.node.init(request).await.unwrap();
    let worker = TestNode::worker("worker", &manager).await;
    let id = worker.id().await;
    let control = manager.control();
    let web = create(&control, service("web", 10)).await;
    until_running(&control, &web, 10).await;
    assert_eq!(worker.machine.running(), 5);
    let before = control.view().await.unwrap();
    let since = before.node(&id).unwrap().status.since;

    // Shorter than the manager's patience of three heartbeats.
    road.open.send_replace(false);
    tokio::time::sleep(HEARTBEAT).await;
    road.open.send_replace(true);
    // Long enough for the manager to have lost patience, had the heartbeats not come again.
    tokio::time::sleep(HEARTBEAT * 5).await;
    let view = control.view().await.unwrap();
    assert_eq!(view.node(&id).unwrap().status.since, since, "it was never down");
    assert_eq!(view.tasks().len(), 10);
    assert_eq!(worker.machine.starts(), 5);

    road.open.send_replace(false);
    until(&control, "the node is down", |view| {
        view.node(&id).is_some_and(|node| node.status.state == NodeState::Down)
    })
    .await;
    eventually("the tasks run on the manager", async || manager.machine.running() == 10).await;
    assert_eq!(worker.machine.running(), 5, "nobody could tell the worker");

    road.open.send_replace(true);
    eventually("the surplus is stopped", async || worker.machine.running() == 0).await;
    until(&control, "the node is back", |view| {
        view.node(&id).is_some_and(|node| node.status.state == NodeState::Ready)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(manager.machine.running(), 10, "nothing moves back by itself");
    worker.node.shutdown().await;
    manager.node.shutdown().await;
}
