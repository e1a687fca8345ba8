//! Sessions, assignment streams, reports.

use std::time::Duration;

use shoal_model::swarm::{
    ContainerStatus, NodeState, SecretRef, Shared, Task, TaskState, TaskStatus,
};

use super::*;
use crate::agent::Held;
use crate::test_cluster::{node_id, spec, task_id};
use crate::test_scene::Scene;
use crate::{Change, Command, Outcome};

fn register(sessions: &mut Sessions, scene: &mut Scene, node: &str) -> Session {
    let id = node_id(node);
    let description = None;
    let session = sessions
        .register(&scene.store, &id, description, "10.0.0.1", scene.now, &mut scene.rng)
        .unwrap();
    scene.apply(session.changes.clone());
    session
}

fn state(scene: &Scene, node: &str) -> NodeState {
    scene.store.node(&node_id(node)).unwrap().status.state
}

fn expire(sessions: &mut Sessions, scene: &mut Scene) -> usize {
    let (nodes, changes) = sessions.expire(&scene.store, scene.now);
    scene.apply(changes);
    nodes.len()
}

#[test]
fn a_silent_node_is_down_after_three_periods() {
    let mut scene = Scene::new(&["n1"]);
    let mut sessions = Sessions::default();
    register(&mut sessions, &mut scene, "n1");
    assert_eq!(state(&scene, "n1"), NodeState::Ready);
    scene.after(14);
    assert_eq!(expire(&mut sessions, &mut scene), 0, "14 s are within the grace");
    scene.after(1);
    assert_eq!(expire(&mut sessions, &mut scene), 1);
    assert_eq!(state(&scene, "n1"), NodeState::Down);
    scene.after(5);
    expire(&mut sessions, &mut scene);
    assert_eq!(sessions.next_deadline(), None, "the store knows, nothing is left to do");
}

#[test]
fn lost_proposals_are_made_again() {
    let mut scene = Scene::new(&["n1"]);
    let mut sessions = Sessions::default();
    let session = register(&mut sessions, &mut scene, "n1");
    scene.after(15);
    let (_, lost) = sessions.expire(&scene.store, scene.now);
    assert_eq!(lost.len(), 1);
    let old = sessions.check(&node_id("n1"), session.id.as_str());
    assert_eq!(old, Err(DispatchError::WrongSession));
    scene.after(5);
    expire(&mut sessions, &mut scene);
    assert_eq!(state(&scene, "n1"), NodeState::Down);
    // It registers, but the word of its silence arrives last.
    let session = register(&mut sessions, &mut scene, "n1");
    scene.apply(lost);
    assert_eq!(state(&scene, "n1"), NodeState::Down);
    scene.after(4);
    let (store, now) = (scene.store.clone(), scene.now);
    let id = session.id.as_str();
    sessions.heartbeat(&store, &node_id("n1"), id, now, &mut scene.rng).unwrap();
    assert_eq!(expire(&mut sessions, &mut scene), 0);
    assert_eq!(state(&scene, "n1"), NodeState::Ready);
}

#[test]
fn heartbeats_keep_a_node_alive() {
    let mut scene = Scene::new(&["n1"]);
    let mut sessions = Sessions::default();
    let session = register(&mut sessions, &mut scene, "n1");
    for _ in 0..20 {
        scene.after(13);
        assert_eq!(expire(&mut sessions, &mut scene), 0);
        let period = sessions
            .heartbeat(&scene.store, &node_id("n1"), session.id.as_str(), scene.now, &mut scene.rng)
            .unwrap();
        assert!((4.5..=5.5).contains(&period.as_secs_f64()), "{period:?}");
    }
}

#[test]
fn only_the_current_session_counts() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let mut sessions = Sessions::default();
    let first = register(&mut sessions, &mut scene, "n1");
    let second = register(&mut sessions, &mut scene, "n1");
    let n1 = node_id("n1");
    assert_eq!(sessions.check(&n1, first.id.as_str()), Err(DispatchError::WrongSession));
    assert_eq!(sessions.check(&n1, second.id.as_str()), Ok(()));
    assert_eq!(
        sessions.check(&node_id("n2"), second.id.as_str()),
        Err(DispatchError::WrongSession)
    );
    let unknown = node_id("nobody");
    let error =
        sessions.register(&scene.store, &unknown, None, "", scene.now, &mut scene.rng).unwrap_err();
    assert_eq!(error, DispatchError::UnknownNode(unknown.to_string()));
}

#[test]
fn registrations_are_limited() {
    let mut scene = Scene::new(&["n1"]);
    let mut sessions = Sessions::default();
    for _ in 0..3 {
        register(&mut sessions, &mut scene, "n1");
        scene.after(1);
    }
    let again = |sessions: &mut Sessions, scene: &mut Scene| {
        sessions.register(&scene.store, &node_id("n1"), None, "", scene.now, &mut scene.rng)
    };
    assert!(matches!(again(&mut sessions, &mut scene), Err(DispatchError::RegistersTooOften(_))));
    scene.after(8);
    assert!(again(&mut sessions, &mut scene).is_ok());
}

#[test]
fn after_a_change_of_the_leader_nodes_have_twice_the_time() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 2));
    scene.settle();
    let (mut sessions, changes) = Sessions::lead(&scene.store, scene.now);
    scene.apply(changes);
    assert_eq!(state(&scene, "n1"), NodeState::Unknown);
    assert_eq!(scene.pass(), "", "their tasks are left alone");
    scene.after(5);
    let session = register(&mut sessions, &mut scene, "n2");
    scene.after(24);
    sessions
        .heartbeat(&scene.store, &node_id("n2"), session.id.as_str(), scene.now, &mut scene.rng)
        .unwrap();
    assert_eq!(expire(&mut sessions, &mut scene), 0);
    scene.after(1);
    assert_eq!(expire(&mut sessions, &mut scene), 1);
    assert_eq!((state(&scene, "n1"), state(&scene, "n2")), (NodeState::Down, NodeState::Ready));
}

#[test]
fn a_node_that_says_good_bye_is_down_at_once() {
    let mut scene = Scene::new(&["n1"]);
    let mut sessions = Sessions::default();
    register(&mut sessions, &mut scene, "n1");
    let changes = sessions.leave(&scene.store, &node_id("n1"), scene.now);
    scene.apply(changes);
    assert_eq!(state(&scene, "n1"), NodeState::Down);
}

#[test]
fn a_short_cut_moves_nothing_and_a_long_one_moves_the_tasks() {
    for (seconds, moves) in [(3, false), (30, true)] {
        let mut scene = Scene::new(&["n1", "n2"]);
        let mut sessions = Sessions::default();
        let mut ids: Vec<_> =
            ["n1", "n2"].iter().map(|node| register(&mut sessions, &mut scene, node).id).collect();
        scene.create(spec("web", 2));
        scene.settle();
        for second in 0..60 {
            scene.after(1);
            for (node, id) in ["n1", "n2"].iter().zip(ids.iter_mut()) {
                let cut = *node == "n1" && (10..10 + seconds).contains(&second);
                let (store, now) = (&scene.store, scene.now);
                let beat = |sessions: &mut Sessions, rng: &mut _| {
                    sessions.heartbeat(store, &node_id(node), id.as_str(), now, rng)
                };
                if !cut && beat(&mut sessions, &mut scene.rng).is_err() {
                    *id = register(&mut sessions, &mut scene, node).id;
                }
            }
            expire(&mut sessions, &mut scene);
            scene.settle();
        }
        assert_eq!(scene.spread("web") == [0, 2], moves, "{seconds} s");
        let running = scene.store.tasks().filter(|t| t.status.state == TaskState::Running);
        assert_eq!(running.count(), 2, "the surplus of the returned node is stopped");
    }
}

#[test]
fn the_first_message_is_complete_and_the_next_ones_follow_it() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec("web", 2));
    scene.pass();
    let mut feed = NodeFeed::new(node_id("n1"));
    let [first] = feed.messages(&scene.store).try_into().unwrap();
    assert_eq!(first.kind, AssignmentKind::Complete);
    assert_eq!((first.applies_to.as_str(), first.results_in.as_str()), ("", "1"));
    assert_eq!(first.changes.len(), 2);
    assert!(feed.messages(&scene.store).is_empty());

    // What the node says itself is no news to it.
    scene.agents();
    assert!(feed.messages(&scene.store).is_empty());

    scene.scale("web", 1);
    scene.pass();
    let [second] = feed.messages(&scene.store).try_into().unwrap();
    assert_eq!(second.kind, AssignmentKind::Incremental);
    assert_eq!((second.applies_to.as_str(), second.results_in.as_str()), ("1", "2"));
    let [AssignmentChange::Update(Assignable::Task(task))] = second.changes.as_slice() else {
        panic!("{second:?}")
    };
    assert_eq!(task.desired_state, TaskState::Remove);

    scene.agents();
    scene.pass();
    let [third] = feed.messages(&scene.store).try_into().unwrap();
    assert_eq!(third.changes, [AssignmentChange::Remove(AssignableId::Task(task.id.clone()))]);
}

#[test]
fn a_node_without_tasks_gets_an_empty_complete_message() {
    let scene = Scene::new(&["n1"]);
    let messages = NodeFeed::new(node_id("n1")).messages(&scene.store);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].changes.is_empty());
}

#[test]
fn long_messages_are_cut() {
    let mut scene = Scene::new(&["n1"]);
    let mut feed = NodeFeed::new(node_id("n1"));
    feed.messages(&scene.store);
    scene.create(spec("web", 250));
    scene.pass();
    let messages = feed.messages(&scene.store);
    let sizes: Vec<_> = messages.iter().map(|message| message.changes.len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    let mut held = Held::default();
    // The held copy is at "1" only after the complete message.
    assert!(held.clone().apply(messages[0].clone()).is_err());
    held.apply(NodeFeed::new(node_id("n1")).messages(&Scene::new(&["n1"]).store).remove(0))
        .unwrap();
    for message in messages {
        held.apply(message).unwrap();
    }
    assert_eq!(held.tasks().len(), 250);
}

#[test]
fn a_message_that_was_lost_is_noticed() {
    let mut scene = Scene::new(&["n1"]);
    let mut feed = NodeFeed::new(node_id("n1"));
    let mut held = Held::default();
    held.apply(feed.messages(&scene.store).remove(0)).unwrap();
    scene.create(spec("web", 1));
    scene.pass();
    feed.messages(&scene.store);
    scene.scale("web", 2);
    scene.pass();
    let after_loss = feed.messages(&scene.store).remove(0);
    let error = held.apply(after_loss).unwrap_err();
    assert_eq!(error.to_string(), "assignments apply to \"2\", but this node is at \"1\"");
    let complete = NodeFeed::new(node_id("n1")).messages(&scene.store).remove(0);
    assert_eq!(held.apply(complete).unwrap().changed.len(), 2);
}

#[test]
fn a_complete_message_removes_what_it_does_not_list() {
    let mut scene = Scene::new(&["n1"]);
    let id = scene.create(spec("web", 2));
    scene.settle();
    let mut held = Held::default();
    held.apply(NodeFeed::new(node_id("n1")).messages(&scene.store).remove(0)).unwrap();
    scene.command(Command::RemoveService(id)).unwrap();
    scene.settle();
    let complete = NodeFeed::new(node_id("n1")).messages(&scene.store).remove(0);
    let applied = held.apply(complete).unwrap();
    assert_eq!((applied.changed.len(), applied.removed.len()), (0, 2));
    assert_eq!(held.tasks().len(), 0);
}

#[test]
fn the_same_task_again_is_no_change() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec("web", 2));
    scene.settle();
    let complete = || NodeFeed::new(node_id("n1")).messages(&scene.store).remove(0);
    let mut held = Held::default();
    assert_eq!(held.apply(complete()).unwrap().changed.len(), 2);
    let again = held.apply(complete()).unwrap();
    assert!(again.changed.is_empty() && again.removed.is_empty(), "{again:?}");
}

#[test]
fn secrets_come_before_their_tasks_and_go_when_they_have_ended() {
    let mut scene = Scene::new(&["n1"]);
    let secret = shoal_model::swarm::SecretSpec {
        annotations: shoal_model::swarm::Annotations::named("key"),
        data: b"x".to_vec(),
    };
    let Ok(Outcome::Secret(id)) = scene.command(Command::CreateSecret(secret)) else {
        panic!("no secret")
    };
    let mut user = spec("web", 1);
    Shared::make_mut(&mut user.task).container.secrets = vec![SecretRef {
        secret_id: id.clone(),
        secret_name: "key".into(),
        file: Default::default(),
    }];
    scene.create(user);
    scene.pass();
    let mut feed = NodeFeed::new(node_id("n1"));
    let message = feed.messages(&scene.store).remove(0);
    assert!(matches!(
        message.changes.as_slice(),
        [
            AssignmentChange::Update(Assignable::Secret(_)),
            AssignmentChange::Update(Assignable::Task(_))
        ]
    ));
    let mut held = Held::default();
    held.apply(message).unwrap();
    let task = scene.wanted("web.1");
    assert_eq!(held.work(&task.id).unwrap().secrets[0].id, id);
    scene.agents();
    scene.scale("web", 0);
    scene.settle();
    let message = feed.messages(&scene.store).remove(0);
    assert!(
        message.changes.contains(&AssignmentChange::Remove(AssignableId::Secret(id))),
        "{message:?}"
    );
}

fn report(task: &Task, state: TaskState) -> TaskReport {
    let status = TaskStatus::new(state, state.as_str(), task.status.timestamp);
    TaskReport { task: task.id.clone(), status }
}

#[test]
fn reports_move_forward_only_and_repetitions_are_nothing() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec("web", 1));
    scene.settle();
    let task = scene.wanted("web.1");
    let take = |scene: &Scene, state| {
        report_tasks(&scene.store, &node_id("n1"), vec![report(&task, state)], scene.now).unwrap()
    };
    assert!(take(&scene, TaskState::Starting).is_empty());
    assert!(take(&scene, TaskState::Running).is_empty());
    assert_eq!(take(&scene, TaskState::Failed).len(), 1);
    let mut with_container = report(&task, TaskState::Running);
    with_container.status.container =
        Some(ContainerStatus { container_id: "c".into(), pid: 1, exit_code: 0 });
    let news = report_tasks(&scene.store, &node_id("n1"), vec![with_container], scene.now).unwrap();
    let [Change::SetTaskStatus { status, .. }] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!(status.applied_by, Some(node_id("n1")));
}

#[test]
fn reports_about_others_tasks_are_refused_and_unknown_ones_ignored() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 2));
    scene.settle();
    let foreign = scene.store.tasks_of_node(&node_id("n2")).next().unwrap().clone();
    let reports = vec![report(&foreign, TaskState::Failed)];
    assert_eq!(
        report_tasks(&scene.store, &node_id("n1"), reports, scene.now),
        Err(DispatchError::ForeignTask)
    );
    let mut unknown = report(&foreign, TaskState::Failed);
    unknown.task = task_id("never");
    assert_eq!(report_tasks(&scene.store, &node_id("n1"), vec![unknown], scene.now), Ok(vec![]));
}

#[test]
fn the_period_is_the_users() {
    let mut scene = Scene::new(&["n1"]);
    let cluster = scene.store.cluster().unwrap().clone();
    let mut spec = cluster.spec.clone();
    spec.dispatcher.heartbeat_period = Duration::from_secs(1);
    scene
        .command(Command::UpdateCluster {
            version: cluster.meta.version,
            spec: Box::new(spec),
            new_worker_token: None,
            new_manager_token: None,
        })
        .unwrap();
    let mut sessions = Sessions::default();
    register(&mut sessions, &mut scene, "n1");
    assert_eq!(sessions.next_deadline(), Some(scene.now + Duration::from_secs(3)));
}
