//! Batches, versions, indexes, snapshots.

use shoal_model::swarm::{Shared, TaskState, TaskStatus, Version};

use super::*;
use crate::test_cluster::{at, node_id, service, spec, store, task, task_id};

fn with_tasks() -> Store {
    let mut store = store(&["n1", "n2"]);
    let service = service("web", 2);
    let changes = vec![
        Change::CreateService(Box::new(service.clone())),
        Change::CreateTask(Box::new(task(&service, 1, "n1"))),
        Change::CreateTask(Box::new(task(&service, 2, "n2"))),
    ];
    store.apply(Batch::new(at(1), changes)).unwrap();
    store
}

#[test]
fn a_batch_is_applied_as_a_whole_or_not_at_all() {
    let mut store = store(&["n1"]);
    let before = store.clone();
    let changes = vec![
        Change::CreateService(Box::new(service("one", 1))),
        Change::RemoveService(service("two", 1).id),
    ];
    let error = store.apply(Batch::new(at(5), changes)).unwrap_err();
    assert_eq!(error.to_string(), format!("service {} not found", service("two", 1).id));
    assert_eq!(store, before);
    assert!(store.service_by_name("one").is_none());
}

#[test]
fn a_snapshot_does_not_see_later_changes() {
    let mut store = with_tasks();
    let snapshot = store.clone();
    let id = service("web", 2).id;
    store.apply(Batch::new(at(2), vec![Change::RemoveService(id.clone())])).unwrap();
    assert!(snapshot.service(&id).is_some() && store.service(&id).is_none());
}

#[test]
fn late_changes_of_the_cluster_itself_are_skipped() {
    let mut store = with_tasks();
    let (service, other) = (service("web", 2), service("other", 1));
    let one = task(&service, 1, "n1").id;
    let gone = task_id("gone");
    let late = vec![
        Change::SetDesiredState { task: gone.clone(), state: TaskState::Shutdown },
        Change::RemoveTask(gone),
        Change::SetDesiredState { task: one.clone(), state: TaskState::Ready },
        Change::SetTaskStatus {
            task: one.clone(),
            status: TaskStatus::new(TaskState::Starting, "starting", at(9)),
        },
        Change::AssignTask {
            task: one.clone(),
            node: node_id("n2"),
            status: TaskStatus::new(TaskState::Assigned, "", at(9)),
        },
        Change::SetNodeStatus { node: node_id("nobody"), status: Default::default() },
        Change::CreateTask(Box::new(task(&service, 1, "n1"))),
        Change::CreateTask(Box::new(task(&other, 1, "n1"))),
    ];
    let before = store.clone();
    assert_eq!(store.apply(Batch::new(at(9), late)).unwrap(), []);
    assert!(store.tasks().eq(before.tasks()));
}

#[test]
fn indexes_follow_the_objects() {
    let mut store = with_tasks();
    let service = service("web", 2);
    let on = |store: &Store, node: &str| store.tasks_of_node(&node_id(node)).count();
    assert_eq!((on(&store, "n1"), on(&store, "n2")), (1, 1));
    assert_eq!(store.tasks_of_service(&service.id).count(), 2);
    let one = task(&service, 1, "n1").id;
    store.apply(Batch::new(at(2), vec![Change::RemoveTask(one)])).unwrap();
    assert_eq!((on(&store, "n1"), on(&store, "n2")), (0, 1));
    let remove = vec![Change::RemoveService(service.id.clone())];
    store.apply(Batch::new(at(3), remove)).unwrap();
    assert_eq!(store.services_with_tasks().collect::<Vec<_>>(), [&service.id]);
    let two = task(&service, 2, "n2").id;
    store.apply(Batch::new(at(4), vec![Change::RemoveTask(two)])).unwrap();
    assert_eq!(store.services_with_tasks().count(), 0);
    assert_eq!(store.nodes_with_tasks().count(), 0);
    // The name is free again.
    store.apply(Batch::new(at(5), vec![Change::CreateService(Box::new(service.clone()))])).unwrap();
}

#[test]
fn events_say_what_became_of_what() {
    let mut store = with_tasks();
    let one = task(&service("web", 2), 1, "n1").id;
    let status = TaskStatus::new(TaskState::Failed, "started", at(3));
    let changes = vec![Change::SetTaskStatus { task: one.clone(), status }];
    let events = store.apply(Batch::new(at(3), changes)).unwrap();
    let [Event::Updated { old: Object::Task(old), new: Object::Task(new) }] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((old.status.state, new.status.state), (TaskState::Running, TaskState::Failed));
    assert!(new.meta.version > old.meta.version);
    assert_eq!(new.status.applied_at, Some(at(3)));
    let events = store.apply(Batch::new(at(4), vec![Change::RemoveTask(one)])).unwrap();
    assert!(matches!(events.as_slice(), [Event::Removed(Object::Task(_))]));
}

#[test]
fn versions_guard_specs_and_not_what_is_observed() {
    let mut store = store(&["n1"]);
    let old = store.node(&node_id("n1")).unwrap().clone();
    let status = shoal_model::swarm::NodeStatus {
        state: shoal_model::swarm::NodeState::Down,
        ..Default::default()
    };
    let changes = vec![Change::SetNodeStatus { node: old.id.clone(), status }];
    store.apply(Batch::new(at(7), changes)).unwrap();
    let seen = store.node(&old.id).unwrap().clone();
    assert_eq!(seen.meta.version, old.meta.version);
    assert_eq!(seen.status.since, at(7));
    // Written from the version before the observation: still good.
    let mut wanted = Node::clone(&old);
    wanted.spec.availability = shoal_model::swarm::Availability::Drain;
    let update = || vec![Change::UpdateNode(Box::new(wanted.clone()))];
    store.apply(Batch::new(at(8), update())).unwrap();
    let now = store.node(&old.id).unwrap();
    assert_eq!(now.status, seen.status, "observed fields are not overwritten");
    let error = store.apply(Batch::new(at(9), update())).unwrap_err();
    assert_eq!(error, ApplyError::OutOfSequence);
}

#[test]
fn a_snapshot_through_serde_is_the_same_store() {
    let store = with_tasks();
    let text = serde_json::to_string(&store).unwrap();
    let back: Store = serde_json::from_str(&text).unwrap();
    assert_eq!(back, store);
    assert_eq!(back.tasks_of_node(&node_id("n1")).count(), 1);
    assert!(back.service_by_name("web").is_some());
    let service = back.service_by_name("web").unwrap();
    assert!(
        back.tasks().all(|task| Shared::same(&task.spec, &service.spec.task)),
        "equal specs are stored once"
    );
}

#[test]
fn a_snapshot_from_before_tasks_had_their_order_is_read() {
    let store = with_tasks();
    let mut text: serde_json::Value = serde_json::to_value(&store).unwrap();
    for task in text["tasks"].as_array_mut().unwrap() {
        assert_eq!(task.as_object_mut().unwrap().remove("created_in").unwrap(), store.index());
    }
    let back: Store = serde_json::from_value(text).unwrap();
    assert_eq!(back.tasks().len(), 2);
    assert!(back.tasks().all(|task| task.created_in == Version(0)));
}

#[test]
fn batches_through_serde_are_the_same_batches() {
    let service = service("web", 1);
    let batch = Batch::new(
        at(1),
        vec![
            Change::CreateService(Box::new(service.clone())),
            Change::CreateTask(Box::new(task(&service, 1, "n1"))),
            Change::RemoveNode(node_id("n1")),
        ],
    );
    let text = serde_json::to_string(&batch).unwrap();
    assert_eq!(serde_json::from_str::<Batch>(&text).unwrap(), batch);
}

#[test]
fn long_plans_are_cut_in_order() {
    let changes: Vec<_> = (0..450).map(|n| Change::RemoveTask(task_id(&n.to_string()))).collect();
    let batches = Batch::split(at(0), changes.clone());
    let sizes: Vec<_> = batches.iter().map(|batch| batch.changes.len()).collect();
    assert_eq!(sizes, [200, 200, 50]);
    let joined: Vec<_> = batches.into_iter().flat_map(|batch| batch.changes).collect();
    assert_eq!(joined, changes);
    assert!(Batch::split(at(0), Vec::new()).is_empty());
}

#[test]
fn objects_are_found_by_id_name_and_prefix() {
    let store = with_tasks();
    let id = service("web", 2).id;
    for text in [id.as_str(), "web", &id.as_str()[..6]] {
        assert_eq!(store.find_service(text).unwrap().id, id, "{text}");
    }
    let error = |text: &str| store.find_service(text).unwrap_err().to_string();
    assert_eq!(error("nope"), "service nope not found");
    assert_eq!(error(""), "service  not found");
    assert_eq!(store.find_node("n2").unwrap().id, node_id("n2"));
    let task = task(&service("web", 2), 1, "n1");
    assert_eq!(store.find_task(task.id.as_str()).unwrap().id, task.id);
    assert_eq!(store.find_task(&task.name()).unwrap().id, task.id);
    let wrong = task.name().replace("web", "web2");
    assert_eq!(store.find_task(&wrong).unwrap_err().to_string(), format!("task {wrong} not found"));
}

#[test]
fn an_ambiguous_prefix_is_refused() {
    let mut store = store(&[]);
    let mut first = None;
    for number in 0..40 {
        let mut one = service(&format!("s{number}"), 0);
        one.spec = spec(&format!("s{number}"), 0);
        let letter = one.id.as_str()[..1].to_owned();
        store.apply(Batch::new(at(1), vec![Change::CreateService(Box::new(one))])).unwrap();
        let count = store.services().filter(|s| s.id.as_str().starts_with(&letter)).count();
        if count == 2 {
            first = Some(letter);
            break;
        }
    }
    let letter = first.expect("40 ids and 36 letters");
    assert_eq!(
        store.find_service(&letter).unwrap_err().to_string(),
        format!("service {letter} is ambiguous (2 matches found)")
    );
}

#[test]
fn a_roll_back_gets_a_version_of_its_own() {
    let mut store = store(&[]);
    let mut one = service("web", 1);
    one.previous_spec = Some(spec("web", 9));
    one.previous_spec_version = Some(Version(0));
    let id = one.id.clone();
    store.apply(Batch::new(at(1), vec![Change::CreateService(Box::new(one))])).unwrap();
    let status = shoal_model::swarm::UpdateStatus {
        state: shoal_model::swarm::UpdateState::RollbackStarted,
        started_at: at(2),
        completed_at: None,
        message: String::new(),
    };
    let roll_back = |spec_version| Change::RollBackService {
        service: id.clone(),
        spec_version,
        status: status.clone(),
    };
    store.apply(Batch::new(at(2), vec![roll_back(Version(7))])).unwrap();
    assert_eq!(store.service(&id).unwrap().spec_version, Version(1), "another spec's: skipped");
    store.apply(Batch::new(at(2), vec![roll_back(Version(1))])).unwrap();
    let service = store.service(&id).unwrap();
    assert_eq!((service.spec_version, &service.previous_spec), (Version(2), &None));
    assert_eq!(service.spec, spec("web", 9));
}
