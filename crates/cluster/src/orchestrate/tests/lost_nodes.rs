//! Nodes that go, come back, are drained, or change.

use shoal_model::swarm::{Availability, NodeState, Placement, RestartCondition, RestartPolicy};
use shoal_model::swarm::{Shared, TaskState};

use crate::Command;
use crate::test_cluster::{node_id, spec};
use crate::test_scene::Scene;

#[test]
fn tasks_of_a_node_that_is_down_run_elsewhere() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 2));
    scene.settle();
    let lost = if scene.wanted("web.1").node_id == Some(node_id("n1")) { "web.1" } else { "web.2" };
    scene.node_is("n1", NodeState::Down);
    assert_eq!(
        scene.pass(),
        format!("create {lost}@n2: node down\nwant {lost}@n1 shutdown: node down\n"),
        "at once: the delay is for programs that crash"
    );
    scene.settle();
    assert_eq!(scene.spread("web"), [0, 2]);
}

#[test]
fn a_node_that_returns_is_told_to_stop_its_surplus() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 2));
    scene.settle();
    scene.node_is("n1", NodeState::Down);
    scene.settle();
    scene.node_is("n1", NodeState::Ready);
    scene.settle();
    let running = scene.tasks().iter().filter(|line| line.ends_with("running")).count();
    assert_eq!(running, 2, "{:?}", scene.tasks());
    assert_eq!(scene.spread("web"), [0, 2], "nothing moves back by itself");
}

#[test]
fn nothing_moves_while_a_node_is_only_unknown() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 4));
    scene.settle();
    scene.node_is("n1", NodeState::Unknown);
    scene.node_is("n2", NodeState::Disconnected);
    assert_eq!(scene.pass(), "");
}

#[test]
fn draining_moves_tasks_and_waits_for_the_old_ones() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 1));
    scene.settle();
    let from = scene.store.node(scene.wanted("web.1").node_id.as_ref().unwrap()).unwrap();
    let from = from.hostname().to_owned();
    let to = if from == "n1" { "n2" } else { "n1" };
    scene.drain(&from);
    assert_eq!(
        scene.pass(),
        format!(
            "create web.1@{to}, ready: node drained\nwant web.1@{from} shutdown: node drained\n"
        )
    );
    scene.agents();
    assert_eq!(scene.pass(), format!("want web.1@{to} running: its turn\n"));
    scene.edit_node(&from, |node| node.spec.availability = Availability::Active);
    scene.settle();
    assert_eq!(scene.pass(), "");
}

#[test]
fn a_paused_node_keeps_its_tasks_and_gets_no_new_ones() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 2));
    scene.settle();
    scene.edit_node("n1", |node| node.spec.availability = Availability::Pause);
    assert_eq!(scene.pass(), "");
    scene.scale("web", 6);
    scene.settle();
    assert_eq!(scene.spread("web"), [1, 5]);
}

#[test]
fn with_all_nodes_drained_tasks_wait_and_say_why() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 1));
    scene.settle();
    scene.drain("n1");
    scene.drain("n2");
    scene.settle();
    let task = scene.wanted("web.1");
    assert_eq!(task.status.state, TaskState::Pending);
    assert_eq!(task.status.err, "no suitable node (2 nodes not available for new tasks)");
}

#[test]
fn tasks_leave_a_node_that_no_longer_meets_their_constraints() {
    let mut scene = Scene::new(&["n1", "n2"]);
    for name in ["n1", "n2"] {
        scene.edit_node(name, |node| {
            node.spec.annotations.labels.insert("disk".into(), "ssd".into());
        });
    }
    let mut spec = spec("web", 2);
    Shared::make_mut(&mut spec.task).placement =
        Some(Placement { constraints: vec!["node.labels.disk==ssd".into()], ..Default::default() });
    scene.create(spec);
    scene.settle();
    assert_eq!(scene.spread("web"), [1, 1]);
    // A new number of replicas makes a new spec, with the same constraints.
    scene.scale("web", 1);
    scene.settle();
    scene.scale("web", 2);
    scene.settle();
    assert_eq!(scene.spread("web"), [1, 1]);
    scene.edit_node("n1", |node| node.spec.annotations.labels.clear());
    let plan = scene.pass();
    assert!(plan.contains("shutdown: node no longer meets the constraints"), "{plan}");
    scene.settle();
    assert_eq!(scene.spread("web"), [0, 2]);
}

#[test]
fn without_restarts_a_drained_task_ends_for_good() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let mut spec = spec("web", 1);
    let policy = RestartPolicy { condition: RestartCondition::None, ..Default::default() };
    Shared::make_mut(&mut spec.task).restart = Some(policy);
    scene.create(spec);
    scene.settle();
    scene.drain("n1");
    scene.drain("n2");
    scene.settle();
    assert_eq!(scene.tasks().len(), 1);
    assert!(scene.tasks()[0].ends_with("shutdown to shutdown"));
}

#[test]
fn removing_a_node_moves_its_tasks_and_ends_its_history() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 2));
    scene.settle();
    let command = Command::RemoveNode { node: node_id("n1"), force: true };
    scene.command(command).unwrap();
    scene.settle();
    assert_eq!(scene.spread("web"), [2]);
    assert!(
        scene.tasks().iter().any(|line| line.contains("orphaned to shutdown")),
        "{:?}",
        scene.tasks()
    );
    scene.scale("web", 0);
    scene.settle();
    assert!(scene.tasks().is_empty(), "{:?}", scene.tasks());
}

#[test]
fn tasks_of_a_removed_node_are_moved_and_not_restarted() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let mut spec = spec("web", 2);
    Shared::make_mut(&mut spec.task).restart = Some(RestartPolicy {
        delay: Some(std::time::Duration::from_secs(600)),
        max_attempts: 1,
        ..RestartPolicy::default()
    });
    scene.create(spec);
    scene.settle();
    scene.command(Command::RemoveNode { node: node_id("n1"), force: true }).unwrap();
    scene.settle();
    let running = scene.tasks().iter().filter(|line| line.ends_with("@n2 running")).count();
    assert_eq!(running, 2, "at once: {:?}", scene.tasks());
    for place in ["web.1", "web.2"] {
        scene.ends(place, TaskState::Failed);
    }
    scene.settle();
    scene.after(600);
    scene.settle();
    assert_eq!(scene.spread("web"), [2], "the attempt is still there");
}

#[test]
fn what_a_lost_node_ran_is_given_up_after_a_day() {
    let mut scene = Scene::new(&["n1"]);
    let id = scene.create(spec("web", 1));
    scene.settle();
    scene.node_is("n1", NodeState::Down);
    scene.command(Command::RemoveService(id)).unwrap();
    scene.settle();
    assert_eq!(scene.tasks(), ["web.1@n1 running to remove"], "the node may still return");
    assert_eq!(scene.deadline(), Some(24 * 3600));
    scene.after(24 * 3600);
    scene.settle();
    assert!(scene.tasks().is_empty(), "{:?}", scene.tasks());
}
