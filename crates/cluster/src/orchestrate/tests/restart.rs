//! What follows when a task ends.

use std::time::Duration;

use shoal_model::swarm::{
    Cluster, RestartCondition, RestartPolicy, ServiceSpec, Shared, TaskState,
};

use crate::Change;
use crate::test_cluster::spec;
use crate::test_scene::Scene;

fn with_policy(policy: RestartPolicy) -> ServiceSpec {
    let mut spec = spec("web", 1);
    Shared::make_mut(&mut spec.task).restart = Some(policy);
    spec
}

fn scene(policy: RestartPolicy) -> Scene {
    let mut scene = Scene::new(&["n1"]);
    scene.create(with_policy(policy));
    scene.settle();
    scene
}

#[test]
fn a_failed_task_is_followed_by_another_after_the_delay() {
    let mut scene = scene(RestartPolicy::default());
    scene.after(10);
    scene.ends("web.1", TaskState::Failed);
    assert_eq!(
        scene.pass(),
        "create web.1@n1, ready: restart policy\nwant web.1@n1 shutdown: restart policy\n"
    );
    assert_eq!(scene.deadline(), Some(15), "the default delay is 5 s");
    scene.after(4);
    assert_eq!(scene.pass(), "");
    scene.after(1);
    assert_eq!(scene.pass(), "want web.1@n1 running: its turn\n");
}

#[test]
fn a_task_refused_before_its_turn_is_followed_no_sooner() {
    let mut scene = scene(RestartPolicy::default());
    scene.ends("web.1", TaskState::Rejected);
    scene.pass();
    for _ in 0..3 {
        // Prepared while it waits: the image is not there either.
        scene.ends("web.1", TaskState::Rejected);
        assert_eq!(scene.pass(), "");
        scene.after(4);
        assert_eq!(scene.pass(), "");
        scene.after(1);
        assert_eq!(
            scene.pass(),
            "create web.1@n1, ready: restart policy\nwant web.1@n1 shutdown: restart policy\n"
        );
    }
}

#[test]
fn without_delay_the_next_one_starts_at_once() {
    let mut scene = scene(RestartPolicy { delay: Some(Duration::ZERO), ..Default::default() });
    scene.ends("web.1", TaskState::Complete);
    assert_eq!(
        scene.pass(),
        "create web.1@n1: restart policy\nwant web.1@n1 shutdown: restart policy\n"
    );
}

#[test]
fn a_clock_that_is_set_back_holds_up_no_restart() {
    let mut scene = scene(RestartPolicy::default());
    scene.after(24 * 3600);
    scene.ends("web.1", TaskState::Failed);
    scene.settle();
    // A leader whose clock is a little behind only waits a little longer.
    scene.set_back(2);
    assert_eq!(scene.deadline(), Some(24 * 3600 + 5));
    scene.set_back(24 * 3600);
    assert_eq!(scene.pass(), "want web.1@n1 running: its turn\n");
}

#[test]
fn attempts_made_by_a_clock_that_was_set_back_are_over() {
    let mut scene = scene(RestartPolicy {
        delay: Some(Duration::ZERO),
        max_attempts: 1,
        window: Some(Duration::from_secs(60)),
        ..Default::default()
    });
    scene.after(24 * 3600);
    scene.ends("web.1", TaskState::Failed);
    scene.settle();
    scene.set_back(24 * 3600);
    scene.ends("web.1", TaskState::Failed);
    scene.settle();
    scene.wanted("web.1");
}

#[test]
fn the_newest_task_is_the_one_made_last_whatever_the_clock_said() {
    let mut scene = Scene::new(&["n1"]);
    scene.after(24 * 3600);
    scene.create(with_policy(RestartPolicy {
        condition: RestartCondition::OnFailure,
        delay: Some(Duration::ZERO),
        ..Default::default()
    }));
    scene.settle();
    scene.set_back(24 * 3600);
    scene.ends("web.1", TaskState::Failed);
    scene.settle();
    scene.ends("web.1", TaskState::Complete);
    scene.settle();
    assert_eq!(scene.tasks(), ["web.1@n1 complete to shutdown", "web.1@n1 failed to shutdown"]);
}

#[test]
fn the_delay_outlives_the_leader() {
    let mut scene = scene(RestartPolicy::default());
    scene.ends("web.1", TaskState::Failed);
    scene.pass();
    let text = serde_json::to_string(&scene.store).unwrap();
    scene.store = serde_json::from_str(&text).unwrap();
    scene.after(3);
    assert_eq!(scene.pass(), "");
    assert_eq!(scene.deadline(), Some(5));
}

#[test]
fn the_condition_decides() {
    let cases = [
        (RestartCondition::None, TaskState::Failed, false),
        (RestartCondition::None, TaskState::Complete, false),
        (RestartCondition::OnFailure, TaskState::Failed, true),
        (RestartCondition::OnFailure, TaskState::Rejected, true),
        (RestartCondition::OnFailure, TaskState::Complete, false),
        (RestartCondition::Any, TaskState::Complete, true),
    ];
    for (condition, end, again) in cases {
        let mut scene = scene(RestartPolicy { condition, ..Default::default() });
        scene.ends("web.1", end);
        let plan = scene.pass();
        assert_eq!(plan.contains("create"), again, "{condition:?} {end}: {plan}");
        scene.after(60);
        scene.settle();
        assert_eq!(scene.tasks().len(), 1 + usize::from(again), "{condition:?} {end}");
    }
}

#[test]
fn a_task_that_stays_ended_counts_as_a_replica() {
    let mut spec = with_policy(RestartPolicy {
        condition: RestartCondition::None,
        ..RestartPolicy::default()
    });
    spec.mode = shoal_model::swarm::ServiceMode::Replicated { replicas: 2 };
    let mut scene = Scene::new(&["n1"]);
    scene.create(spec);
    scene.settle();
    scene.ends("web.1", TaskState::Complete);
    scene.settle();
    assert_eq!(scene.tasks(), ["web.1@n1 complete to shutdown", "web.2@n1 running"]);
}

#[test]
fn attempts_are_limited() {
    let mut scene =
        scene(RestartPolicy { delay: Some(Duration::ZERO), max_attempts: 2, ..Default::default() });
    for _ in 0..2 {
        scene.ends("web.1", TaskState::Failed);
        scene.settle();
    }
    scene.ends("web.1", TaskState::Failed);
    assert_eq!(scene.pass(), "want web.1@n1 shutdown: ended, no restart\n");
    scene.after(3600);
    assert_eq!(scene.pass(), "");
    // A new spec starts to count afresh.
    scene.set_image("web", "image:2");
    scene.settle();
    scene.ends("web.1", TaskState::Failed);
    assert!(scene.pass().contains("create web.1@n1"));
}

#[test]
fn only_attempts_within_the_window_count() {
    let mut scene = scene(RestartPolicy {
        delay: Some(Duration::ZERO),
        max_attempts: 2,
        window: Some(Duration::from_secs(60)),
        ..Default::default()
    });
    for _ in 0..10 {
        scene.after(31);
        scene.ends("web.1", TaskState::Failed);
        scene.settle();
        scene.wanted("web.1");
    }
    scene.ends("web.1", TaskState::Failed);
    scene.settle();
    assert!(scene.tasks().iter().all(|line| line.ends_with("to shutdown")), "{:?}", scene.tasks());
}

#[test]
fn the_history_is_limited() {
    let mut scene = scene(RestartPolicy { delay: Some(Duration::ZERO), ..Default::default() });
    for _ in 0..20 {
        scene.after(1);
        scene.ends("web.1", TaskState::Failed);
        scene.settle();
    }
    let ended = scene.store.tasks().filter(|task| !task.is_wanted()).count();
    assert_eq!((scene.tasks().len(), ended), (5, 4), "five tasks per place, SwarmKit's limit");
    let oldest = scene.store.tasks().map(|task| task.meta.created_at).min().unwrap();
    assert_eq!(oldest, crate::test_cluster::at(16), "the youngest are kept");
}

#[test]
fn without_history_a_task_that_ended_for_good_is_not_made_again() {
    for condition in [RestartCondition::None, RestartCondition::OnFailure] {
        let mut scene = Scene::new(&["n1"]);
        let mut cluster = Cluster::clone(scene.store.cluster().unwrap());
        cluster.spec.orchestration.task_history_limit = 0;
        scene.apply(vec![Change::UpdateCluster(Box::new(cluster))]);
        scene.create(with_policy(RestartPolicy { condition, ..Default::default() }));
        scene.settle();
        scene.ends("web.1", TaskState::Complete);
        scene.settle();
        assert_eq!(scene.tasks(), ["web.1@n1 complete to shutdown"]);
        // What follows it leaves no history.
        scene.set_image("web", "image:2");
        scene.settle();
        assert_eq!(scene.tasks(), ["web.1@n1 running"]);
    }
}

#[test]
fn a_failing_service_is_not_tried_faster_than_its_delay() {
    let mut scene = scene(RestartPolicy::default());
    let mut starts = 0;
    for _ in 0..100 {
        scene.settle();
        let running = scene.store.tasks().find(|t| t.status.state == TaskState::Running);
        if let Some(id) = running.map(|task| task.id.clone()) {
            starts += 1;
            scene.report(&id, TaskState::Failed);
            scene.settle();
        }
        scene.after(1);
    }
    assert_eq!(starts, 20, "100 s at one start in 5 s");
}
