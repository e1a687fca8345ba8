//! One task per node.

use shoal_model::swarm::{NodeState, Placement, ServiceMode, ServiceSpec, Shared, TaskState};

use crate::test_cluster::{node, node_id, spec};
use crate::test_scene::Scene;
use crate::{Change, Command};

fn global() -> ServiceSpec {
    ServiceSpec { mode: ServiceMode::Global, ..spec("agent", 0) }
}

#[test]
fn every_node_gets_one_task_also_later() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(global());
    let mut plan: Vec<_> = scene.pass().lines().map(str::to_owned).collect();
    plan.sort();
    assert_eq!(plan, ["create agent@n1: node without task", "create agent@n2: node without task"]);
    scene.settle();
    scene.apply(vec![Change::CreateNode(Box::new(node("n3")))]);
    assert_eq!(scene.pass(), "create agent@n3: node without task\n");
    scene.settle();
    assert_eq!(scene.spread("agent"), [1, 1, 1]);
    assert_eq!(scene.pass(), "");
}

#[test]
fn constraints_choose_the_nodes() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let mut spec = global();
    Shared::make_mut(&mut spec.task).placement =
        Some(Placement { constraints: vec!["node.hostname!=n1".into()], ..Placement::default() });
    scene.create(spec);
    scene.settle();
    assert_eq!(scene.spread("agent"), [0, 1]);
}

#[test]
fn a_task_comes_and_goes_with_its_node() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(global());
    scene.settle();
    scene.node_is("n1", NodeState::Down);
    assert_eq!(scene.pass(), "want agent.0@n1 shutdown: node down\n".replace(".0", ""));
    scene.settle();
    assert_eq!(scene.spread("agent"), [0, 1]);
    scene.node_is("n1", NodeState::Ready);
    scene.settle();
    assert_eq!(scene.spread("agent"), [1, 1]);
    scene.drain("n2");
    scene.settle();
    assert_eq!(scene.spread("agent"), [1, 0]);
}

#[test]
fn a_removed_node_leaves_no_history() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(global());
    scene.settle();
    scene.command(Command::RemoveNode { node: node_id("n1"), force: true }).unwrap();
    scene.settle();
    assert_eq!(scene.tasks().len(), 1, "{:?}", scene.tasks());
}

#[test]
fn a_failed_task_is_restarted_on_its_node() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(global());
    scene.settle();
    let task = scene.store.tasks().next().unwrap().clone();
    scene.report(&task.id, TaskState::Failed);
    scene.settle();
    scene.after(5);
    scene.settle();
    assert_eq!(scene.spread("agent"), [1, 1]);
    let next = scene.store.tasks().find(|t| t.is_wanted() && t.node_id == task.node_id).unwrap();
    assert_eq!(next.status.state, TaskState::Running);
    assert_ne!(next.id, task.id);
}

#[test]
fn an_update_replaces_node_by_node() {
    let mut scene = Scene::new(&["n1", "n2", "n3"]);
    scene.create(global());
    scene.settle();
    scene.set_image("agent", "image:2");
    let plan = scene.pass();
    assert_eq!(plan.matches("create agent@").count(), 1, "one at a time: {plan}");
    scene.settle();
    scene.after(5);
    scene.settle();
    assert_eq!(scene.update_status("agent"), "completed: update completed");
    let image = |t: &shoal_model::swarm::Task| t.spec.container.image == "image:2";
    assert_eq!(scene.store.tasks().filter(|t| t.is_wanted() && image(t)).count(), 3);
}

#[test]
fn removing_the_service_ends_all() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let id = scene.create(global());
    scene.settle();
    scene.command(Command::RemoveService(id)).unwrap();
    scene.settle();
    assert!(scene.tasks().is_empty());
}
