//! Services on a manager and its workers: from creation to removal, through bad turns.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{TestNode, active, create, eventually, scale, service, until, until_running};
use futures_util::StreamExt;
use shoal_cluster::{Command, Outcome};
use shoal_model::ServiceId;
use shoal_model::swarm::{
    Annotations, Availability, FileTarget, NodeState, SecretRef, SecretSpec, Shared, TaskState,
    UpdateConfig,
};
use shoal_node::{Control, LogLine, LogOptions, LogSelector, NodeError};

async fn three_nodes() -> (TestNode, TestNode, TestNode) {
    let manager = TestNode::manager().await;
    let one = TestNode::worker("one", &manager).await;
    let two = TestNode::worker("two", &manager).await;
    (manager, one, two)
}

async fn stop_all(nodes: impl IntoIterator<Item = TestNode>) {
    for node in nodes {
        node.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_spread_scaled_and_removed() {
    let (manager, one, two) = three_nodes().await;
    let control = manager.control();
    let web = create(&control, service("web", 3)).await;
    until_running(&control, &web, 3).await;
    for node in [&manager, &one, &two] {
        assert_eq!(node.machine.running(), 1);
    }
    scale(&control, &web, 300).await;
    until_running(&control, &web, 300).await;
    for node in [&manager, &one, &two] {
        assert_eq!(node.machine.running(), 100);
    }
    scale(&control, &web, 0).await;
    let machines = || [&manager, &one, &two].map(|node| node.machine.all().len());
    eventually("no container is left", async || machines() == [0, 0, 0]).await;
    until(&control, "no task is left", |view| view.tasks().len() == 0).await;
    control.execute(Command::RemoveService(web.clone())).await.unwrap();
    assert!(control.view().await.unwrap().service(&web).is_none());
    stop_all([manager, one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_nodes_tasks_move_and_its_surplus_is_stopped_when_it_returns() {
    let (manager, one, two) = three_nodes().await;
    let control = manager.control();
    let web = create(&control, service("web", 9)).await;
    until_running(&control, &web, 9).await;
    let lost = two.id().await;
    // The process is gone, its containers run on.
    two.node.shutdown().await;
    until(&control, "the node is down", |view| {
        view.node(&lost).is_some_and(|node| node.status.state == NodeState::Down)
    })
    .await;
    eventually("nine run elsewhere", async || {
        manager.machine.running() + one.machine.running() == 9
    })
    .await;
    assert_eq!(two.machine.running(), 3);
    let two = two.restart().await;
    eventually("the surplus is stopped", async || two.machine.running() == 0).await;
    until(&control, "the node is back", |view| {
        view.node(&lost).is_some_and(|node| node.status.state == NodeState::Ready)
    })
    .await;
    until_running(&control, &web, 9).await;
    stop_all([manager, one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_manager_and_worker_leave_containers_alone() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let web = create(&manager.control(), service("web", 10)).await;
    until_running(&manager.control(), &web, 10).await;

    let worker = worker.restart().await;
    active(&worker).await;
    let manager = manager.restart().await;
    let control = manager.control();
    until(&control, "both nodes are ready again", |view| {
        view.nodes().len() == 2 && view.nodes().all(|node| node.status.state == NodeState::Ready)
    })
    .await;
    until_running(&control, &web, 10).await;
    // Still in command: scaling reaches both.
    scale(&control, &web, 12).await;
    until_running(&control, &web, 12).await;
    assert_eq!(manager.machine.starts() + worker.machine.starts(), 12);
    assert_eq!(control.view().await.unwrap().tasks().len(), 12);
    stop_all([manager, worker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_worker_was_away_is_noticed() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let control = manager.control();
    let web = create(&control, service("web", 2)).await;
    until_running(&control, &web, 2).await;
    worker.node.shutdown().await;
    let task = worker.machine.all()[0].clone();
    worker.machine.end(&task, 3);
    let worker = worker.restart().await;
    until(&control, "the failure is known", |view| {
        view.task(&task).is_some_and(|task| {
            task.status.state == TaskState::Failed
                && task.status.err == "task: non-zero exit (3)"
                && task.status.container.as_ref().is_some_and(|one| one.exit_code == 3)
        })
    })
    .await;
    until_running(&control, &web, 2).await;
    stop_all([manager, worker]).await;
}

/// However many wait for their health check, others start, and they can be called off.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_are_not_healthy_yet_hold_nobody_up() {
    let manager = TestNode::manager().await;
    let control = manager.control();
    let mut spec = service("slow", 200);
    Shared::make_mut(&mut spec.task).container.image = common::machine::NEVER_READY.to_owned();
    let slow = create(&control, spec).await;
    until(&control, "all are starting", |view| {
        let mut tasks = view.tasks_of_service(&slow);
        tasks.all(|task| task.status.state == TaskState::Starting)
    })
    .await;
    let web = create(&control, service("web", 2)).await;
    until_running(&control, &web, 2).await;
    control.execute(Command::RemoveService(slow)).await.unwrap();
    eventually("only the others are left", async || manager.machine.all().len() == 2).await;
    stop_all([manager]).await;
}

/// However many wait for a registry, others are made, and they can be called off.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_wait_for_their_image_hold_nobody_up() {
    let manager = TestNode::manager().await;
    let control = manager.control();
    let mut spec = service("slow", 100);
    Shared::make_mut(&mut spec.task).container.image = common::machine::SLOW_IMAGE.to_owned();
    let slow = create(&control, spec).await;
    until(&control, "all are preparing", |view| {
        let mut tasks = view.tasks_of_service(&slow);
        tasks.all(|task| task.status.state == TaskState::Preparing)
    })
    .await;
    let web = create(&control, service("web", 2)).await;
    until_running(&control, &web, 2).await;
    control.execute(Command::RemoveService(slow.clone())).await.unwrap();
    until(&control, "the others are gone", |view| view.tasks_of_service(&slow).next().is_none())
        .await;
    stop_all([manager]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_called_off_in_the_queue_is_not_begun() {
    let manager = TestNode::manager().await;
    let control = manager.control();
    manager.machine.hold_starts(true);
    let web = create(&control, service("web", 100)).await;
    until(&control, "all are starting", |view| {
        let mut tasks = view.tasks_of_service(&web);
        tasks.all(|task| task.status.state == TaskState::Starting)
    })
    .await;
    let places = u32::try_from(shoal_node::config::DEFAULT_AGENT_PARALLELISM).unwrap();
    eventually("as many start as may", async || manager.machine.begun() == places).await;
    scale(&control, &web, 0).await;
    until(&control, "those in the queue have ended", |view| {
        view.tasks_of_service(&web).count() == places as usize
    })
    .await;
    manager.machine.hold_starts(false);
    eventually("no container is left", async || manager.machine.all().is_empty()).await;
    assert_eq!(manager.machine.begun(), places);
    stop_all([manager]).await;
}

/// A program that cannot be stopped holds what it has until it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stopped_has_not_ended() {
    let manager = TestNode::manager().await;
    let control = manager.control();
    let web = create(&control, service("web", 1)).await;
    until_running(&control, &web, 1).await;
    let task = manager.machine.all()[0].clone();
    manager.machine.refusals().stops = 3;
    let mut spec = service("web", 1);
    Shared::make_mut(&mut spec.task).container.image = "other".to_owned();
    update(&control, &web, spec).await;
    until(&control, "the old one has ended", |view| {
        let seen = view.task(&task).unwrap();
        seen.status.state.is_terminal()
    })
    .await;
    assert_eq!(manager.machine.refusals().stops, 0, "it was not stopped again");
    let view = control.view().await.unwrap();
    assert_eq!(view.task(&task).unwrap().status.state, TaskState::Shutdown);
    stop_all([manager]).await;
}

/// Also over a restart: the container of a task nobody wants is not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_removed_is_removed_later() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let control = manager.control();
    let web = create(&control, service("web", 4)).await;
    until_running(&control, &web, 4).await;
    manager.machine.refusals().removals = 6;
    worker.machine.refusals().removals = u32::MAX;
    scale(&control, &web, 0).await;
    eventually("the manager's are removed", async || manager.machine.all().is_empty()).await;
    eventually("the worker's end", async || worker.machine.running() == 0).await;
    let worker = worker.restart().await;
    active(&worker).await;
    assert_eq!(worker.machine.all().len(), 2);
    worker.machine.refusals().removals = 0;
    eventually("the worker's are removed", async || worker.machine.all().is_empty()).await;
    stop_all([manager, worker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_is_told_and_others_go_on() {
    let manager = TestNode::manager().await;
    let control = manager.control();
    let mut spec = service("broken", 1);
    Shared::make_mut(&mut spec.task).container.image = common::machine::MISSING_IMAGE.to_owned();
    let broken = create(&control, spec).await;
    let web = create(&control, service("web", 2)).await;
    until_running(&control, &web, 2).await;
    until(&control, "the reason is shown", |view| {
        view.tasks_of_service(&broken).any(|task| {
            task.status.state == TaskState::Rejected
                && task.status.err == "No such image: no-such-image"
        })
    })
    .await;
    stop_all([manager]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_moves_tasks() {
    let (manager, one, two) = three_nodes().await;
    let control = manager.control();
    let web = create(&control, service("web", 6)).await;
    until_running(&control, &web, 6).await;
    let view = control.view().await.unwrap();
    let node = view.node(&one.id().await).unwrap();
    let mut spec = node.spec.clone();
    spec.availability = Availability::Drain;
    let update = Command::UpdateNode { node: node.id.clone(), version: node.meta.version, spec };
    control.execute(update).await.unwrap();
    eventually("the drained node is empty", async || one.machine.running() == 0).await;
    until_running(&control, &web, 6).await;
    assert_eq!(manager.machine.running() + two.machine.running(), 6);
    stop_all([manager, one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_goes_on_after_the_manager_was_restarted() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let control = manager.control();
    let mut spec = service("web", 6);
    spec.update = Some(UpdateConfig {
        parallelism: 1,
        monitor: Some(Duration::from_millis(50)),
        delay: Duration::from_millis(100),
        ..UpdateConfig::default()
    });
    let web = create(&control, spec.clone()).await;
    until_running(&control, &web, 6).await;
    Shared::make_mut(&mut spec.task).container.image = "busybox:2".to_owned();
    update(&control, &web, spec).await;
    let updated = |node: &TestNode| {
        node.machine.images().iter().filter(|image| *image == "busybox:2").count()
    };
    eventually("it has begun", async || updated(&manager) + updated(&worker) > 0).await;
    let manager = manager.restart().await;
    eventually("all are updated", async || updated(&manager) + updated(&worker) == 6).await;
    until_running(&manager.control(), &web, 6).await;
    stop_all([manager, worker]).await;
}

async fn update(control: &Control, service: &ServiceId, spec: shoal_model::swarm::ServiceSpec) {
    let version = control.view().await.unwrap().service(service).unwrap().meta.version;
    let command = Command::UpdateService {
        service: service.clone(),
        version,
        spec: Box::new(spec),
        registry_auth_from: Default::default(),
    };
    control.execute(command).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_secrets_reach_the_worker() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let control = manager.control();
    let secret = SecretSpec { annotations: Annotations::named("key"), data: b"hush".to_vec() };
    let secret_id = match control.execute(Command::CreateSecret(secret)).await.unwrap() {
        Outcome::Secret(id) => id,
        other => panic!("unexpected outcome {other:?}"),
    };
    let mut spec = service("web", 2);
    let container = &mut Shared::make_mut(&mut spec.task).container;
    container.registry_auth = "eyJ1IjoidSJ9".to_owned();
    let file = FileTarget { name: "key".into(), uid: "0".into(), gid: "0".into(), mode: 0o444 };
    container.secrets = vec![SecretRef { secret_id, secret_name: "key".into(), file }];
    let web = create(&control, spec).await;
    until_running(&control, &web, 2).await;
    assert_eq!(worker.machine.credentials(), ["eyJ1IjoidSJ9"]);
    assert_eq!(worker.machine.secrets(), [b"hush"]);
    // Secrets are on no disk of a worker, and yet a restart finds its way.
    let worker = worker.restart().await;
    active(&worker).await;
    let mut journal = Vec::new();
    for entry in std::fs::read_dir(worker.dir.path().join("swarm/worker")).unwrap() {
        journal.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(!journal.is_empty());
    assert!(!String::from_utf8_lossy(&journal).contains("hush"));
    until_running(&control, &web, 2).await;
    assert_eq!(worker.machine.starts(), 1);
    stop_all([manager, worker]).await;
}

async fn collect(control: &Control, selector: LogSelector, options: LogOptions) -> Vec<LogLine> {
    let stream = control.logs(selector, options).await.unwrap();
    stream.map(Result::unwrap).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_from_every_node() {
    let (manager, one, two) = three_nodes().await;
    let control = manager.control();
    let web = create(&control, service("web", 3)).await;
    until_running(&control, &web, 3).await;
    for node in [&manager, &one, &two] {
        let task = node.machine.all()[0].clone();
        for number in 0..5 {
            node.machine.print(&task, &format!("line {number}"));
        }
    }
    let all = LogSelector { services: vec![web.clone()], ..LogSelector::default() };
    let lines = collect(&control, all.clone(), LogOptions::default()).await;
    assert_eq!(lines.len(), 15);
    let nodes: BTreeSet<_> = lines.iter().map(|line| line.node_id.clone()).collect();
    assert_eq!(nodes.len(), 3);
    assert!(lines.iter().all(|line| line.service_id.as_ref() == Some(&web)));

    let task = one.machine.all()[0].clone();
    let last = LogOptions { tail: Some(2), ..LogOptions::default() };
    let selector = LogSelector { tasks: vec![task.clone()], ..LogSelector::default() };
    let lines = collect(&control, selector, last).await;
    let texts: Vec<&[u8]> = lines.iter().map(|line| line.data.as_ref()).collect();
    assert_eq!(texts, [b"line 3\n", b"line 4\n"]);

    // A follower hears what comes, from tasks that come, too.
    let follow = LogOptions { follow: true, tail: Some(0), ..LogOptions::default() };
    let mut stream = control.logs(all, follow).await.unwrap();
    // When the question has reached the node is not known: write until a line arrives.
    let line = loop {
        one.machine.print(&task, "later");
        if let Ok(line) = tokio::time::timeout(Duration::from_millis(100), stream.next()).await {
            break line.unwrap().unwrap();
        }
    };
    assert_eq!(line.data.as_ref(), b"later\n");
    let before: BTreeSet<_> =
        [&manager, &one, &two].iter().flat_map(|node| node.machine.all()).collect();
    scale(&control, &web, 4).await;
    until_running(&control, &web, 4).await;
    let (newcomer, node) = [&manager, &one, &two]
        .into_iter()
        .flat_map(|node| node.machine.all().into_iter().map(move |task| (task, node)))
        .find(|(task, _)| !before.contains(task))
        .unwrap();
    node.machine.print(&newcomer, "hello");
    loop {
        let line = tokio::time::timeout(common::PATIENCE, stream.next()).await.unwrap();
        let line = line.unwrap().unwrap();
        if line.task_id == newcomer {
            assert_eq!(line.data.as_ref(), b"hello\n");
            break;
        }
    }
    stop_all([manager, one, two]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_goes_on_where_its_logs_ended() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let control = manager.control();
    let web = create(&control, service("web", 2)).await;
    until_running(&control, &web, 2).await;
    let task = worker.machine.all()[0].clone();
    for text in ["one", "two", "three"] {
        worker.machine.print(&task, text);
    }
    let selector = LogSelector { services: vec![web], ..LogSelector::default() };
    let follow = LogOptions { follow: true, tail: Some(2), ..LogOptions::default() };
    let mut stream = control.logs(selector, follow).await.unwrap();
    let mut next = async || {
        let line = tokio::time::timeout(common::PATIENCE, stream.next()).await.unwrap();
        line.unwrap().unwrap().data
    };
    assert_eq!(next().await.as_ref(), b"two\n");
    assert_eq!(next().await.as_ref(), b"three\n");
    worker.node.shutdown().await;
    // While the process is away, the program is not.
    worker.machine.print(&task, "four");
    worker.machine.print(&task, "five");
    worker.machine.print(&task, "six");
    let worker = worker.restart().await;
    assert_eq!(next().await.as_ref(), b"four\n");
    assert_eq!(next().await.as_ref(), b"five\n");
    assert_eq!(next().await.as_ref(), b"six\n");
    worker.machine.print(&task, "seven");
    assert_eq!(next().await.as_ref(), b"seven\n");
    stop_all([manager, worker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_a_lost_node_are_told_to_be_missing() {
    let manager = TestNode::manager().await;
    let worker = TestNode::worker("worker", &manager).await;
    let control = manager.control();
    let web = create(&control, service("web", 2)).await;
    until_running(&control, &web, 2).await;
    let lost = worker.id().await;
    worker.node.shutdown().await;
    until(&control, "the node is down", |view| {
        view.node(&lost).is_some_and(|node| node.status.state == NodeState::Down)
    })
    .await;
    let selector = LogSelector { services: vec![web], ..LogSelector::default() };
    let stream = control.logs(selector, LogOptions::default()).await.unwrap();
    let items: Vec<Result<LogLine, NodeError>> = stream.collect().await;
    let last = items.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(last.contains(&format!("node {lost} is not available")), "{last}");
    stop_all([manager]).await;
}
