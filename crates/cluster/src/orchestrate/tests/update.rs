//! Rolling updates.

use std::time::Duration;

use shoal_model::swarm::{
    Availability, Endpoint, EndpointSpec, FailureAction, PortConfig, PublishMode, RestartCondition,
    RestartPolicy, ServiceSpec, Shared, Task, TaskOrigin, TaskState, UpdateConfig, UpdateOrder,
    UpdateState,
};

use crate::Command;
use crate::test_cluster::spec;
use crate::test_scene::Scene;

fn updating(config: UpdateConfig) -> ServiceSpec {
    ServiceSpec { update: Some(config), ..spec("web", 4) }
}

fn scene(config: UpdateConfig) -> Scene {
    let mut scene = Scene::new(&["n1"]);
    scene.create(updating(config));
    scene.settle();
    scene
}

fn is_new(task: &Task) -> bool {
    task.spec.container.image == "image:2"
}

fn count_new(scene: &Scene) -> usize {
    scene.store.tasks().filter(|task| task.is_wanted() && is_new(task)).count()
}

#[test]
fn one_by_one_stop_first() {
    let mut scene = scene(UpdateConfig::default());
    scene.set_image("web", "image:2");
    assert_eq!(
        scene.pass(),
        "update of web is updating, update in progress: update\n\
         create web.1@n1, ready: spec changed\n\
         want web.1@n1 shutdown: spec changed\n"
    );
    assert_eq!(scene.pass(), "", "the old one has to end first");
    scene.agents();
    assert_eq!(scene.pass(), "want web.1@n1 running: its turn\n");
    scene.agents();
    assert_eq!(
        scene.pass(),
        "create web.2@n1, ready: spec changed\nwant web.2@n1 shutdown: spec changed\n"
    );
    scene.settle();
    assert_eq!(count_new(&scene), 4);
    assert_eq!(scene.update_status("web"), "updating: update in progress");
    assert_eq!(scene.deadline(), Some(5), "the last ones are watched for 5 s");
    scene.after(5);
    assert_eq!(scene.pass(), "update of web is completed, update completed: update\n");
    let service = scene.store.find_service("web").unwrap();
    let status = service.update_status.as_ref().unwrap();
    assert!(status.completed_at.is_some() && status.started_at < scene.now);
}

#[test]
fn start_first_runs_both_for_a_while() {
    let mut scene = scene(UpdateConfig { order: UpdateOrder::StartFirst, ..Default::default() });
    scene.set_image("web", "image:2");
    assert_eq!(
        scene.pass(),
        "update of web is updating, update in progress: update\n\
         create web.1@n1: spec changed\n"
    );
    scene.agents();
    let plan = scene.pass();
    assert!(plan.starts_with("want web.1@n1 shutdown: replaced\n"), "{plan}");
    for _ in 0..50 {
        scene.pass();
        let running = scene.store.tasks().filter(|t| t.status.state == TaskState::Running).count();
        assert!(running >= 4, "never fewer than wanted: {:?}", scene.tasks());
        scene.agents();
    }
    assert_eq!(count_new(&scene), 4);
    assert_eq!(scene.spread("web"), [4]);
}

#[test]
fn parallelism_and_delay() {
    let config = UpdateConfig {
        parallelism: 2,
        delay: Duration::from_secs(10),
        monitor: Some(Duration::from_secs(1)),
        ..UpdateConfig::default()
    };
    let mut scene = scene(config);
    scene.set_image("web", "image:2");
    scene.settle();
    assert_eq!(count_new(&scene), 2);
    assert_eq!(scene.deadline(), Some(10));
    scene.after(9);
    scene.settle();
    assert_eq!(count_new(&scene), 2);
    scene.after(1);
    scene.settle();
    assert_eq!(count_new(&scene), 4);
    scene.after(1);
    scene.settle();
    assert_eq!(scene.update_status("web"), "completed: update completed");
}

#[test]
fn parallelism_zero_is_all_at_once() {
    let mut scene = scene(UpdateConfig { parallelism: 0, ..Default::default() });
    scene.set_image("web", "image:2");
    assert_eq!(scene.pass().matches("create").count(), 4);
}

#[test]
fn a_failure_pauses_the_update() {
    let mut scene = scene(UpdateConfig::default());
    scene.set_image("web", "image:2");
    scene.settle_until_new_runs();
    let failed = scene.store.tasks().find(|task| is_new(task)).unwrap().id.clone();
    scene.report(&failed, TaskState::Failed);
    scene.settle();
    assert_eq!(
        scene.update_status("web"),
        format!("paused: update paused due to failure or early termination of task {failed}")
    );
    scene.after(600);
    scene.settle();
    let old = scene.store.tasks().filter(|t| t.is_wanted() && !is_new(t)).count();
    assert_eq!(old, 3, "the rest stays as it was");
    // The user's next update starts over.
    scene.set_image("web", "image:3");
    scene.settle();
    scene.after(60);
    scene.settle();
    assert_eq!(scene.update_status("web"), "completed: update completed");
}

#[test]
fn a_failure_rolls_back() {
    let config =
        UpdateConfig { failure_action: FailureAction::Rollback, ..UpdateConfig::default() };
    let mut scene = scene(config);
    scene.set_image("web", "image:2");
    scene.settle_until_new_runs();
    let failed = scene.store.tasks().find(|task| is_new(task)).unwrap().id.clone();
    scene.report(&failed, TaskState::Rejected);
    let plan = scene.pass();
    assert!(plan.contains(&format!(
        "roll back web, update rolled back due to failure or early termination of task {failed}"
    )));
    scene.settle();
    scene.after(60);
    scene.settle();
    assert_eq!(scene.update_status("web"), "rollback_completed: rollback completed");
    assert_eq!(count_new(&scene), 0);
    assert_eq!(scene.spread("web"), [4]);
    assert_eq!(scene.store.find_service("web").unwrap().spec.task.container.image, "image:1");
}

#[test]
fn a_roll_back_returns_to_the_ports_before() {
    let port = |published_port| EndpointSpec {
        ports: vec![PortConfig {
            target_port: 80,
            published_port,
            publish_mode: PublishMode::Host,
            ..PortConfig::default()
        }],
        ..EndpointSpec::default()
    };
    let config =
        UpdateConfig { failure_action: FailureAction::Rollback, ..UpdateConfig::default() };
    let mut scene = Scene::new(&["n1"]);
    scene.create(ServiceSpec {
        update: Some(config),
        endpoint: Some(port(8080)),
        ..spec("web", 1)
    });
    scene.settle();
    scene.update("web", |spec| {
        Shared::make_mut(&mut spec.task).container.image = "image:2".into();
        spec.endpoint = Some(port(9090));
    });
    scene.settle_until_new_runs();
    scene.ends("web.1", TaskState::Failed);
    for _ in 0..5 {
        scene.settle();
        scene.after(5);
    }
    assert_eq!(scene.update_status("web"), "rollback_completed: rollback completed");
    let published = |endpoint: Option<&Endpoint>| endpoint.map(|e| e.ports[0].published_port);
    assert_eq!(published(scene.wanted("web.1").endpoint.as_ref()), Some(8080));
    let service = scene.store.find_service("web").unwrap();
    assert_eq!(published(service.endpoint.as_ref()), Some(8080));
}

#[test]
fn an_update_waits_for_a_new_task_that_was_moved_before_it_ran() {
    let config =
        UpdateConfig { failure_action: FailureAction::Rollback, ..UpdateConfig::default() };
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(ServiceSpec { update: Some(config), ..spec("web", 1) });
    scene.settle();
    scene.set_image("web", "image:2");
    scene.pass();
    let node = scene.wanted("web.1").node_id.clone().unwrap();
    let node = scene.store.node(&node).unwrap().hostname().to_owned();
    scene.drain(&node);
    scene.pass();
    assert_eq!(scene.update_status("web"), "updating: update in progress");
    scene.settle_until_new_runs();
    scene.ends("web.1", TaskState::Failed);
    for _ in 0..5 {
        scene.settle();
        scene.after(5);
    }
    assert_eq!(scene.update_status("web"), "rollback_completed: rollback completed");
    // Of no update any more, once it is over.
    scene.edit_node(&node, |node| node.spec.availability = Availability::Active);
    let node = scene.wanted("web.1").node_id.clone().unwrap();
    let node = scene.store.node(&node).unwrap().hostname().to_owned();
    scene.drain(&node);
    scene.settle();
    assert_eq!(scene.wanted("web.1").origin, TaskOrigin::Move);
}

#[test]
fn a_clock_that_is_set_back_holds_up_no_update() {
    let delay = Duration::from_secs(10);
    let mut scene = scene(UpdateConfig { delay, ..UpdateConfig::default() });
    scene.after(24 * 3600);
    scene.set_image("web", "image:2");
    scene.settle();
    assert_eq!(count_new(&scene), 1);
    scene.set_back(24 * 3600);
    scene.settle();
    assert_eq!(count_new(&scene), 2);
    for _ in 0..4 {
        scene.after(10);
        scene.settle();
    }
    assert_eq!(scene.update_status("web"), "completed: update completed");
}

#[test]
fn a_failing_roll_back_pauses() {
    let config =
        UpdateConfig { failure_action: FailureAction::Rollback, ..UpdateConfig::default() };
    let mut scene = scene(config);
    scene.set_image("web", "image:2");
    scene.settle_until_new_runs();
    let failed = scene.store.tasks().find(|task| is_new(task)).unwrap().id.clone();
    scene.report(&failed, TaskState::Failed);
    scene.settle_until_state(UpdateState::RollbackStarted);
    for _ in 0..5 {
        scene.pass();
        scene.agents();
    }
    let version = scene.store.find_service("web").unwrap().spec_version;
    let again = scene.store.tasks().find(|t| t.is_wanted() && t.spec_version == version);
    let again = again.unwrap().id.clone();
    scene.report(&again, TaskState::Failed);
    scene.settle();
    assert_eq!(
        scene.update_status("web"),
        format!(
            "rollback_paused: rollback paused due to failure or early termination of task {again}"
        )
    );
}

#[test]
fn failures_within_the_ratio_are_borne() {
    let config = UpdateConfig { max_failure_ratio: 0.25, ..UpdateConfig::default() };
    let mut scene = scene(config);
    scene.set_image("web", "image:2");
    scene.settle_until_new_runs();
    let failed = scene.store.tasks().find(|task| is_new(task)).unwrap().id.clone();
    scene.report(&failed, TaskState::Failed);
    scene.settle();
    scene.after(60);
    scene.settle();
    scene.after(60);
    scene.settle();
    assert_eq!(scene.update_status("web"), "completed: update completed");
    assert_eq!(count_new(&scene), 4);
}

#[test]
fn with_continue_the_update_goes_through_all_failures() {
    let config = UpdateConfig {
        failure_action: FailureAction::Continue,
        parallelism: 0,
        ..UpdateConfig::default()
    };
    let mut scene = scene(config);
    scene.set_image("web", "image:bad");
    for _ in 0..10 {
        scene.settle();
        let bad: Vec<_> = scene
            .store
            .tasks()
            .filter(|t| t.spec.container.image == "image:bad")
            .filter(|t| t.status.state == TaskState::Running)
            .map(|t| t.id.clone())
            .collect();
        bad.iter().for_each(|id| scene.report(id, TaskState::Failed));
        scene.after(1);
    }
    assert_eq!(scene.update_status("web"), "completed: update completed");
}

#[test]
fn a_late_end_is_no_failure_of_the_update() {
    let mut scene = scene(UpdateConfig {
        delay: Duration::from_secs(60),
        monitor: Some(Duration::from_secs(5)),
        ..UpdateConfig::default()
    });
    scene.set_image("web", "image:2");
    scene.settle_until_new_runs();
    scene.after(6);
    let ended = scene.store.tasks().find(|task| is_new(task)).unwrap().id.clone();
    scene.report(&ended, TaskState::Failed);
    scene.settle();
    assert_eq!(scene.update_status("web"), "updating: update in progress");
}

#[test]
fn a_new_leader_goes_on_in_the_middle() {
    let mut scene = scene(UpdateConfig { delay: Duration::from_secs(2), ..Default::default() });
    scene.set_image("web", "image:2");
    for second in 0..40 {
        scene.settle();
        scene.after(1);
        let text = serde_json::to_string(&scene.store).unwrap();
        scene.store = serde_json::from_str(&text).unwrap();
        assert!(count_new(&scene) <= 1 + second / 2, "the delay is kept over restarts");
    }
    assert_eq!(scene.update_status("web"), "completed: update completed");
    assert_eq!(count_new(&scene), 4);
}

#[test]
fn only_the_number_changed_replaces_nothing() {
    let mut scene = scene(UpdateConfig::default());
    scene.scale("web", 6);
    scene.settle();
    assert_eq!(scene.update_status("web"), "none");
    assert_eq!(scene.tasks().len(), 6);
}

#[test]
fn scaling_in_the_middle_keeps_the_lanes() {
    let mut scene = scene(UpdateConfig::default());
    scene.set_image("web", "image:2");
    scene.pass();
    scene.scale("web", 5);
    scene.pass();
    let stopping = scene
        .store
        .tasks()
        .filter(|task| !task.is_wanted() && task.status.state == TaskState::Running)
        .count();
    assert_eq!(stopping, 1, "the place begun before still counts: {:?}", scene.tasks());
    scene.settle();
    scene.after(10);
    scene.settle();
    assert_eq!(scene.update_status("web"), "completed: update completed");
    assert_eq!(scene.spread("web"), [5]);
}

#[test]
fn start_first_goes_on_after_a_failure_and_a_new_number() {
    let mut scene = scene(UpdateConfig {
        order: UpdateOrder::StartFirst,
        failure_action: FailureAction::Continue,
        ..UpdateConfig::default()
    });
    scene.set_image("web", "image:2");
    scene.pass();
    let new = scene.store.tasks().find(|task| is_new(task)).unwrap().id.clone();
    scene.report(&new, TaskState::Rejected);
    scene.pass();
    scene.scale("web", 5);
    for _ in 0..10 {
        scene.settle();
        scene.after(5);
    }
    assert_eq!(scene.update_status("web"), "completed: update completed");
    assert_eq!((count_new(&scene), scene.spread("web")), (5, vec![5]));
}

#[test]
fn force_update_replaces_all() {
    let mut scene = scene(UpdateConfig { parallelism: 0, ..Default::default() });
    scene.update("web", |spec| Shared::make_mut(&mut spec.task).force_update += 1);
    assert_eq!(scene.pass().matches("create").count(), 4);
}

#[test]
fn new_constraints_the_node_meets_replace_nothing() {
    let mut scene = scene(UpdateConfig::default());
    scene.update("web", |spec| {
        let task = Shared::make_mut(&mut spec.task);
        task.placement.get_or_insert_default().constraints.push("node.hostname==n1".into());
    });
    assert_eq!(scene.pass(), "");
    scene.update("web", |spec| {
        let task = Shared::make_mut(&mut spec.task);
        task.placement.get_or_insert_default().constraints = vec!["node.hostname==n2".into()];
    });
    assert!(scene.pass().contains("spec changed"));
}

#[test]
fn manual_roll_back_swaps_the_specs() {
    let mut scene = scene(UpdateConfig { parallelism: 0, ..Default::default() });
    scene.set_image("web", "image:2");
    scene.settle();
    scene.after(10);
    scene.settle();
    for image in ["image:1", "image:2"] {
        let service = scene.store.find_service("web").unwrap();
        let (service, version) = (service.id.clone(), service.meta.version);
        scene.command(Command::RollBackService { service, version }).unwrap();
        assert_eq!(scene.update_status("web"), "rollback_started: manually requested rollback");
        for _ in 0..20 {
            scene.settle();
            scene.after(5);
        }
        assert_eq!(scene.update_status("web"), "rollback_completed: rollback completed");
        let all: Vec<_> = scene.store.tasks().filter(|t| t.is_wanted()).collect();
        assert!(all.iter().all(|t| t.spec.container.image == image));
        assert_eq!(all.len(), 4);
    }
}

#[test]
fn ended_tasks_of_the_old_spec_are_replaced_too() {
    let policy = RestartPolicy { condition: RestartCondition::None, ..Default::default() };
    let mut spec = updating(UpdateConfig { parallelism: 0, ..Default::default() });
    Shared::make_mut(&mut spec.task).restart = Some(policy);
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec);
    scene.settle();
    scene.ends("web.2", TaskState::Complete);
    scene.settle();
    scene.set_image("web", "image:2");
    scene.settle();
    assert_eq!(count_new(&scene), 4);
}

impl Scene {
    /// Until the update's first new task runs.
    fn settle_until_new_runs(&mut self) {
        for _ in 0..20 {
            self.pass();
            self.agents();
            if self.store.tasks().any(|t| is_new(t) && t.status.state == TaskState::Running) {
                return;
            }
        }
        panic!("no new task runs: {:?}", self.tasks());
    }

    fn settle_until_state(&mut self, state: UpdateState) {
        for _ in 0..20 {
            self.pass();
            let service = self.store.find_service("web").unwrap();
            if service.update_status.as_ref().is_some_and(|status| status.state == state) {
                return;
            }
        }
        panic!("never {state:?}");
    }
}
