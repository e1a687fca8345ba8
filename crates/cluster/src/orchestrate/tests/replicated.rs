//! Replicas: made, spread, scaled, removed.

use shoal_model::swarm::TaskState;

use crate::test_cluster::spec;
use crate::test_scene::Scene;
use crate::{Command, Outcome};

#[test]
fn tasks_are_born_on_their_nodes() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 3));
    let plan = scene.pass();
    assert_eq!(plan.lines().count(), 3, "{plan}");
    assert!(plan.lines().all(|line| line.starts_with("create web.")), "{plan}");
    assert!(plan.lines().all(|line| line.ends_with(": scaled up")), "{plan}");
    let mut spread = scene.spread("web");
    spread.sort();
    assert_eq!(spread, [1, 2]);
    assert_eq!(scene.pass(), "", "a second pass on the same state plans nothing");
}

#[test]
fn without_a_node_the_task_waits_and_says_why() {
    let mut scene = Scene::new(&[]);
    scene.create(spec("web", 1));
    assert_eq!(scene.pass(), "create web.1, pending (no suitable node): scaled up\n");
    assert_eq!(scene.pass(), "");
}

#[test]
fn scaling_up_fills_the_lowest_places() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec("web", 2));
    scene.settle();
    scene.scale("web", 4);
    assert_eq!(scene.pass(), "create web.3@n1: scaled up\ncreate web.4@n1: scaled up\n");
}

#[test]
fn scaling_down_gives_up_the_highest_places_of_the_fullest_nodes() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 6));
    scene.settle();
    scene.scale("web", 2);
    let plan = scene.pass();
    assert_eq!(plan.matches(" remove: scaled down").count(), 4, "{plan}");
    assert_eq!(scene.spread("web"), [1, 1]);
    assert!(plan.contains("web.6@") && plan.contains("web.5@"), "{plan}");
    scene.settle();
    assert_eq!(scene.tasks().len(), 2);
}

#[test]
fn scaling_down_prefers_what_does_not_run() {
    let mut scene = Scene::new(&["n1", "n2", "n3"]);
    scene.create(spec("web", 3));
    scene.settle();
    scene.ends("web.1", TaskState::Failed);
    scene.scale("web", 2);
    scene.settle();
    let names: Vec<_> = scene.tasks().iter().map(|line| line[..5].to_owned()).collect();
    assert_eq!(names, ["web.2", "web.3"]);
}

#[test]
fn scaling_to_zero_ends_all_and_forgets_what_has_ended() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec("web", 2));
    scene.settle();
    scene.scale("web", 0);
    assert_eq!(
        scene.pass(),
        "want web.2@n1 remove: scaled down\nwant web.1@n1 remove: scaled down\n"
    );
    assert_eq!(scene.pass(), "", "nothing is forgotten before its node has ended it");
    scene.agents();
    let plan = scene.pass();
    assert_eq!(plan, "forget web.1@n1: removed and ended\nforget web.2@n1: removed and ended\n");
    assert!(scene.tasks().is_empty());
}

#[test]
fn a_task_nobody_was_told_of_is_forgotten_at_once() {
    let mut scene = Scene::new(&[]);
    scene.create(spec("web", 1));
    scene.pass();
    scene.scale("web", 0);
    assert_eq!(scene.pass(), "want web.1 remove: scaled down\nforget web.1: removed and ended\n");
}

#[test]
fn a_place_is_filled_again_only_after_the_old_task_ended() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec("web", 1));
    scene.settle();
    scene.scale("web", 0);
    scene.pass();
    scene.scale("web", 1);
    assert_eq!(scene.pass(), "create web.1@n1, ready: scaled up\n");
    let old = scene.store.tasks().find(|task| !task.is_wanted()).unwrap().id.clone();
    scene.report(&old, TaskState::Shutdown);
    assert_eq!(
        scene.pass(),
        "want web.1@n1 running: its turn\nforget web.1@n1: removed and ended\n"
    );
}

#[test]
fn removing_a_service_removes_its_tasks() {
    let mut scene = Scene::new(&["n1"]);
    let id = scene.create(spec("web", 2));
    scene.create(spec("other", 1));
    scene.settle();
    assert_eq!(scene.command(Command::RemoveService(id)), Ok(Outcome::Done));
    let plan = scene.pass();
    assert_eq!(plan.matches(" remove: service gone").count(), 2, "{plan}");
    scene.settle();
    assert_eq!(scene.tasks(), ["other.1@n1 running"]);
}

#[test]
fn services_do_not_touch_each_other() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("one", 2));
    scene.create(spec("two", 2));
    scene.settle();
    let before = scene.tasks();
    scene.scale("one", 5);
    scene.settle();
    scene.scale("one", 2);
    scene.settle();
    let two = |tasks: &[String]| -> Vec<String> {
        tasks.iter().filter(|line| line.starts_with("two")).cloned().collect()
    };
    assert_eq!(two(&before), two(&scene.tasks()));
}

#[test]
fn a_lost_half_of_a_plan_is_made_up_for() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(spec("web", 10));
    let plan = crate::pass(&scene.store, scene.now, &mut scene.rng);
    let half = plan.steps.into_iter().take(5).map(|step| step.change).collect();
    scene.apply(half);
    scene.settle();
    assert_eq!(scene.spread("web"), [5, 5]);
}
