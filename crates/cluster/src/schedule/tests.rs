//! Where tasks land, and the words when they land nowhere.

use std::time::Duration;

use shoal_model::Platform;
use shoal_model::swarm::{
    Driver, Endpoint, EndpointSpec, Mount, MountKind, Placement, PlacementPreference, Plugin,
    PortConfig, PublishMode, ResourceRequirements, Resources, ServiceSpec, Shared, TaskState,
    TaskStatus, VolumeOptions,
};

use crate::dispatch::{TaskReport, report_tasks};
use crate::test_cluster::{node_id, spec};
use crate::test_scene::Scene;

fn placed(name: &str, replicas: u64, placement: Placement) -> ServiceSpec {
    let mut spec = spec(name, replicas);
    Shared::make_mut(&mut spec.task).placement = Some(placement);
    spec
}

fn constrained(constraint: &str) -> ServiceSpec {
    placed("web", 1, Placement { constraints: vec![constraint.into()], ..Default::default() })
}

fn reserving(name: &str, replicas: u64, memory_bytes: i64) -> ServiceSpec {
    let mut spec = spec(name, replicas);
    Shared::make_mut(&mut spec.task).resources = Some(ResourceRequirements {
        limits: None,
        reservations: Some(Resources { memory_bytes, ..Resources::default() }),
    });
    spec
}

/// The reason shown for the only waiting task.
fn reason(scene: &mut Scene) -> String {
    scene.settle();
    let waiting = scene.store.tasks().find(|task| task.status.state == TaskState::Pending);
    waiting.expect("a task waits").status.err.clone()
}

#[test]
fn tasks_of_a_service_are_spread() {
    let mut scene = Scene::new(&["n1", "n2", "n3"]);
    scene.create(spec("web", 10));
    scene.settle();
    let mut spread = scene.spread("web");
    spread.sort();
    assert_eq!(spread, [3, 3, 4]);
}

#[test]
fn fewest_of_the_service_counts_before_fewest_in_all() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let on_first =
        Placement { constraints: vec!["node.hostname==n1".into()], ..Placement::default() };
    scene.create(placed("busy", 10, on_first));
    scene.settle();
    scene.create(spec("web", 4));
    scene.settle();
    assert_eq!(scene.spread("web"), [2, 2]);
    scene.create(spec("other", 1));
    scene.settle();
    assert_eq!(scene.spread("other"), [0, 1]);
}

#[test]
fn the_words_are_dockers() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(constrained("node.role==manager"));
    assert_eq!(
        reason(&mut scene),
        "no suitable node (scheduling constraints not satisfied on 1 node)"
    );
    let mut scene = Scene::new(&["n1", "n2", "n3"]);
    scene.create(constrained("node.labels.gpu==yes"));
    assert_eq!(
        reason(&mut scene),
        "no suitable node (scheduling constraints not satisfied on 3 nodes)"
    );
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.drain("n1");
    scene.create(reserving("web", 1, 64 << 30));
    assert_eq!(
        reason(&mut scene),
        "no suitable node (1 node not available for new tasks; insufficient resources on 1 node)"
    );
    let mut scene = Scene::new(&["n1", "n2", "n3"]);
    scene.drain("n1");
    scene.create(constrained("node.hostname==n1"));
    assert_eq!(
        reason(&mut scene),
        "no suitable node (scheduling constraints not satisfied on 2 nodes; \
         1 node not available for new tasks)",
        "the commonest reason first"
    );
}

#[test]
fn a_node_must_have_the_drivers_a_task_names() {
    let plugin = |kind: &str, name: &str| Plugin { kind: kind.into(), name: name.into() };
    let driver = |name: &str| Driver { name: name.into(), ..Driver::default() };
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.edit_node("n2", |node| {
        let engine = &mut node.description.as_mut().unwrap().engine;
        engine.plugins = vec![plugin("Volume", "nfs:latest"), plugin("Log", "json-file")];
    });
    let with_volume = |name: &str, driver: Driver| {
        let mut spec = spec(name, 1);
        let volume = VolumeOptions { driver: Some(driver), ..VolumeOptions::default() };
        Shared::make_mut(&mut spec.task).container.mounts = vec![Mount {
            kind: MountKind::Volume,
            target: "/x".into(),
            volume: Some(volume),
            ..Mount::default()
        }];
        spec
    };
    scene.create(with_volume("shared", driver("nfs")));
    scene.create(with_volume("own", driver("local")));
    let mut logged = spec("logged", 2);
    Shared::make_mut(&mut logged.task).log_driver = Some(driver("syslog"));
    scene.create(logged);
    scene.settle();
    assert_eq!(scene.wanted("shared.1").node_id, Some(node_id("n2")));
    assert!(scene.wanted("own.1").node_id.is_some());
    // The other one does not tell its log drivers.
    assert_eq!(scene.wanted("logged.1").node_id, Some(node_id("n1")));
    scene.create(with_volume("nowhere", driver("nope")));
    assert_eq!(reason(&mut scene), "no suitable node (missing plugin on 2 nodes)");
}

#[test]
fn the_reason_follows_the_state() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(constrained("node.labels.disk==ssd"));
    reason(&mut scene);
    scene.drain("n1");
    assert_eq!(
        scene.pass(),
        "mark web.1 pending (no suitable node (1 node not available for new tasks)): no place\n"
    );
    scene.edit_node("n1", |node| {
        node.spec.availability = Default::default();
        node.spec.annotations.labels.insert("disk".into(), "ssd".into());
    });
    assert_eq!(scene.pass(), "assign web.1 to n1: scheduled\n");
    let task = scene.wanted("web.1");
    assert_eq!(
        (task.status.message.as_str(), task.status.err.as_str()),
        ("scheduler assigned task to node", "")
    );
}

#[test]
fn reserved_memory_is_never_given_twice() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(reserving("web", 5, 3 << 30));
    scene.settle();
    assert_eq!(scene.spread("web"), [2, 2], "8 GiB hold two times 3 GiB");
    assert_eq!(reason(&mut scene), "no suitable node (insufficient resources on 2 nodes)");
    scene.scale("web", 4);
    scene.settle();
    scene.create(reserving("small", 4, 1 << 30));
    scene.settle();
    assert_eq!(scene.spread("small"), [2, 2]);
}

#[test]
fn a_stopping_task_holds_its_share_until_it_has_ended() {
    let mut scene = Scene::new(&["n1"]);
    scene.create(reserving("web", 1, 5 << 30));
    scene.settle();
    scene.scale("web", 0);
    scene.pass();
    scene.create(reserving("next", 1, 5 << 30));
    scene.pass();
    assert_eq!(scene.wanted("next.1").status.state, TaskState::Pending);
    scene.settle();
    assert_eq!(scene.wanted("next.1").status.state, TaskState::Running);
}

#[test]
fn host_ports_are_one_per_node() {
    let mut scene = Scene::new(&["n1", "n2"]);
    let mut spec = spec("web", 3);
    let endpoint = EndpointSpec {
        ports: vec![PortConfig {
            target_port: 80,
            published_port: 8080,
            publish_mode: PublishMode::Host,
            ..PortConfig::default()
        }],
        ..EndpointSpec::default()
    };
    spec.endpoint = Some(endpoint.clone());
    scene.create(spec);
    scene.settle();
    assert_eq!(scene.spread("web"), [1, 1]);
    assert_eq!(reason(&mut scene), "no suitable node (host-mode port already in use on 2 nodes)");
    let task = scene.wanted("web.1");
    let Some(Endpoint { spec, ports, .. }) = &task.endpoint else { panic!("no endpoint") };
    assert_eq!((spec, ports), (&endpoint, &endpoint.ports));
}

#[test]
fn max_replicas_per_node() {
    let mut scene = Scene::new(&["n1", "n2"]);
    scene.create(placed("web", 5, Placement { max_replicas: 2, ..Default::default() }));
    scene.settle();
    assert_eq!(scene.spread("web"), [2, 2]);
    assert_eq!(reason(&mut scene), "no suitable node (max replicas per node limit exceed)");
}

#[test]
fn platforms_are_compared_by_meaning() {
    let platform = |architecture: &str| Platform {
        os: "linux".into(),
        architecture: architecture.into(),
        variant: String::new(),
    };
    for (wanted, fits) in [("amd64", true), ("x86_64", true), ("", true), ("arm64", false)] {
        let mut scene = Scene::new(&["n1"]);
        let placement = Placement { platforms: vec![platform(wanted)], ..Placement::default() };
        scene.create(placed("web", 1, placement));
        scene.settle();
        assert_eq!(scene.spread("web"), [usize::from(fits)], "{wanted:?}");
        if !fits {
            assert_eq!(reason(&mut scene), "no suitable node (unsupported platform on 1 node)");
        }
    }
}

#[test]
fn preferences_spread_over_labels_first() {
    let mut scene = Scene::new(&["a1", "a2", "a3", "b1"]);
    for (name, zone) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")] {
        scene.edit_node(name, |node| {
            node.spec.annotations.labels.insert("zone".into(), zone.into());
        });
    }
    let descriptor = "node.labels.zone".to_owned();
    let placement = Placement {
        preferences: vec![PlacementPreference::Spread { descriptor }],
        ..Placement::default()
    };
    scene.create(placed("web", 6, placement));
    scene.settle();
    assert_eq!(scene.spread("web"), [1, 1, 1, 3]);
}

/// The wanted task of this place fails, on a node whose clock is this far behind.
fn fails_in_the_past(scene: &mut Scene, place: &str, behind: Duration) {
    let task = scene.wanted(place);
    let status = TaskStatus::new(TaskState::Failed, "failed", scene.now - behind);
    let reports = vec![TaskReport { task: task.id.clone(), status }];
    let node = task.node_id.as_ref().unwrap();
    let changes = report_tasks(&scene.store, node, reports, scene.now).unwrap();
    scene.apply(changes);
}

#[test]
fn a_node_where_the_service_keeps_failing_is_the_last_choice() {
    for behind in [Duration::ZERO, Duration::from_secs(3600)] {
        let mut scene = Scene::new(&["good", "poor"]);
        let mut one = spec("web", 1);
        Shared::make_mut(&mut one.task).restart = Some(Default::default());
        scene.create(one);
        let mut tries = 0;
        loop {
            scene.settle();
            scene.after(5);
            scene.settle();
            if scene.wanted("web.1").node_id == Some(node_id("good")) {
                break;
            }
            tries += 1;
            assert!(tries <= 3, "never leaves the poor node");
            fails_in_the_past(&mut scene, "web.1", behind);
        }
        assert_eq!(tries, 3, "one failure alone says nothing about the node");
    }
}
