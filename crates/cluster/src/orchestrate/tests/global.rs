//! One task per node.

use shoal_model::swarm::{
    Availability, NodeState, Placement, ResourceRequirements, Resources, ServiceMode, ServiceSpec,
    Shared, TaskState, UpdateConfig, UpdateOrder,
};

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

/// The images of the wanted tasks of a node.
fn images(scene: &Scene, node: &str) -> Vec<(String, TaskState)> {
    let id = node_id(node);
    let tasks = scene.store.tasks_of_node(&id).filter(|task| task.is_wanted());
    tasks.map(|task| (task.spec.container.image.clone(), task.status.state)).collect()
}

fn running(image: &str) -> Vec<(String, TaskState)> {
    vec![(image.to_owned(), TaskState::Running)]
}

fn availability(scene: &mut Scene, node: &str, availability: Availability) {
    scene.edit_node(node, |node| node.spec.availability = availability);
}

#[test]
fn an_update_passes_over_a_paused_node_until_it_takes_tasks_again() {
    let mut scene = Scene::new(&["n1", "n2", "n3"]);
    scene.create(global());
    scene.settle();
    availability(&mut scene, "n1", Availability::Pause);
    scene.set_image("agent", "image:2");
    scene.settle();
    scene.after(5);
    scene.settle();
    assert_eq!(images(&scene, "n1"), running("image:1"), "it goes on as it is");
    assert_eq!(images(&scene, "n2"), running("image:2"));
    assert_eq!(images(&scene, "n3"), running("image:2"));
    assert_eq!(scene.update_status("agent"), "completed: update completed");
    availability(&mut scene, "n1", Availability::Active);
    scene.settle();
    scene.after(5);
    scene.settle();
    assert_eq!(images(&scene, "n1"), running("image:2"));
    assert_eq!(scene.update_status("agent"), "completed: update completed");
}

#[test]
fn an_update_takes_nothing_down_on_a_node_not_heard_of() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(global());
    scene.settle();
    scene.set_image("agent", "image:2");
    scene.node_is("n1", NodeState::Unknown);
    scene.settle();
    assert_eq!(images(&scene, "n1"), running("image:1"));
    scene.node_is("n1", NodeState::Ready);
    scene.settle();
    assert_eq!(images(&scene, "n1"), running("image:2"));
}

#[test]
fn a_node_paused_in_the_middle_of_its_update_ends_with_one_task() {
    let mut scene = Scene::new(&["n1"]);
    let update = UpdateConfig { order: UpdateOrder::StartFirst, ..Default::default() };
    scene.create(ServiceSpec { update: Some(update), ..global() });
    scene.settle();
    scene.set_image("agent", "image:2");
    scene.pass();
    assert_eq!(images(&scene, "n1").len(), 2);
    availability(&mut scene, "n1", Availability::Pause);
    scene.settle();
    assert_eq!(images(&scene, "n1"), running("image:2"));
}

#[test]
fn a_task_that_waits_for_a_paused_node_holds_up_no_update() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let mut spec = global();
    // Two do not fit beside each other.
    let reservations = Some(Resources { nano_cpus: 3_000_000_000, ..Default::default() });
    Shared::make_mut(&mut spec.task).resources =
        Some(ResourceRequirements { limits: None, reservations });
    scene.create(spec);
    scene.settle();
    scene.set_image("agent", "image:2");
    scene.pass();
    let first = ["n1", "n2"].into_iter().find(|node| images(&scene, node) != running("image:1"));
    let first = first.unwrap();
    let other = if first == "n1" { "n2" } else { "n1" };
    availability(&mut scene, first, Availability::Pause);
    scene.settle();
    assert_eq!(images(&scene, other), running("image:2"));
    availability(&mut scene, first, Availability::Active);
    scene.settle();
    assert_eq!(images(&scene, first), running("image:2"));
}

#[test]
fn a_task_that_fails_on_a_paused_node_is_followed_when_it_takes_tasks_again() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(global());
    scene.settle();
    availability(&mut scene, "n1", Availability::Pause);
    let task = scene.store.tasks().next().unwrap().id.clone();
    scene.report(&task, TaskState::Failed);
    scene.settle();
    scene.after(60);
    scene.settle();
    assert_eq!(scene.tasks(), ["agent.0@n1 failed to shutdown"]);
    availability(&mut scene, "n1", Availability::Active);
    scene.settle();
    assert_eq!(scene.spread("agent"), [1]);
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
