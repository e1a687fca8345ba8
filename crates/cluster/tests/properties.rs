//! What holds for all inputs: store, scheduler, updater, streams.

#![allow(clippy::unwrap_used, reason = "test support outside of test functions")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use shoal_cluster::agent::{self, Held};
use shoal_cluster::ca::JoinToken;
use shoal_cluster::dispatch::NodeFeed;
use shoal_cluster::schedule::Constraint;
use shoal_cluster::{Batch, Change, Command, Rng, Store, decide, pass};
use shoal_model::Timestamp;
use shoal_model::swarm::{
    Availability, Placement, ResourceRequirements, Resources, ServiceSpec, Shared, TaskState,
    TaskStatus, UpdateConfig, UpdateOrder, UpdateState,
};

#[path = "../src/test_cluster.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod test_cluster;

use test_cluster::{at, node, node_id, service_id, spec, store};

/// Applies whole plans until there is nothing to do at this time.
fn settle(store: &mut Store, now: Timestamp, rng: &mut Rng) {
    for _ in 0..10 {
        let plan = pass(store, now, rng);
        if plan.is_empty() {
            return;
        }
        for batch in plan.into_batches(now) {
            store.apply(batch).unwrap();
        }
    }
    panic!("does not settle: {}", pass(store, now, rng).text(store));
}

fn create(store: &mut Store, spec: ServiceSpec, rng: &mut Rng) {
    let decision = decide(store, Command::CreateService(Box::new(spec)), at(0), rng).unwrap();
    store.apply(Batch::new(at(0), decision.changes)).unwrap();
}

/// Each task of a ready node takes a step towards its goal with this chance.
fn agents(store: &mut Store, now: Timestamp, rng: &mut Rng, percent: u64) {
    let mut changes = Vec::new();
    for task in store.tasks().filter(|task| task.node_id.is_some()) {
        let goal = task.desired_state.min(TaskState::Shutdown);
        let open = task.status.state >= TaskState::Assigned && !task.status.state.is_terminal();
        if open && task.status.state < goal && rng.chance(percent) {
            let status = TaskStatus::new(goal, goal.as_str(), now);
            changes.push(Change::SetTaskStatus { task: task.id.clone(), status });
        }
    }
    store.apply(Batch::new(now, changes)).unwrap();
}

fn nodes(count: usize) -> Store {
    let names: Vec<_> = (0..count).map(|number| format!("n{number}")).collect();
    store(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However many nodes and tasks, the tasks are spread evenly, and a second
    /// pass plans nothing.
    #[test]
    fn the_scheduler_spreads_evenly(count in 1..20usize, tasks in 0..200u64, seed: u64) {
        let mut rng = Rng::from_seed(seed);
        let mut store = nodes(count);
        create(&mut store, spec("web", tasks), &mut rng);
        settle(&mut store, at(1), &mut rng);
        let per_node: Vec<_> = store.nodes().map(|n| store.tasks_of_node(&n.id).count()).collect();
        prop_assert_eq!(per_node.iter().sum::<usize>() as u64, tasks);
        prop_assert!(per_node.iter().max().unwrap() - per_node.iter().min().unwrap() <= 1);
    }

    /// What is reserved never exceeds what is there, whatever the sizes; and a
    /// task waits only if it fits nowhere.
    #[test]
    fn nothing_is_given_twice(
        capacities in prop::collection::vec(0..16i64, 1..8),
        services in prop::collection::vec((1..8i64, 0..12u64), 1..6),
        seed: u64,
    ) {
        let mut rng = Rng::from_seed(seed);
        let mut store = store(&[]);
        for (number, capacity) in capacities.iter().enumerate() {
            let mut node = node(&format!("n{number}"));
            node.description.as_mut().unwrap().resources.memory_bytes = capacity << 30;
            let change = Change::CreateNode(Box::new(node));
            store.apply(Batch::new(at(0), vec![change])).unwrap();
        }
        for (number, (size, replicas)) in services.iter().enumerate() {
            let mut spec = spec(&format!("s{number}"), *replicas);
            Shared::make_mut(&mut spec.task).resources = Some(ResourceRequirements {
                limits: None,
                reservations: Some(Resources { memory_bytes: size << 30, ..Resources::default() }),
            });
            create(&mut store, spec, &mut rng);
        }
        settle(&mut store, at(1), &mut rng);
        let mut free = BTreeMap::new();
        for node in store.nodes() {
            let reserved: i64 = store.tasks_of_node(&node.id).map(|task| size(task)).sum();
            let there = node.description.as_ref().unwrap().resources.memory_bytes;
            prop_assert!(reserved <= there);
            free.insert(node.id.clone(), there - reserved);
        }
        for task in store.tasks().filter(|task| task.status.state == TaskState::Pending) {
            prop_assert!(free.values().all(|free| *free < size(task)), "{}", task.name());
            prop_assert!(task.status.err.contains("insufficient resources"));
        }
    }

    /// Constraints and limits per node hold for every placed task.
    #[test]
    fn placements_keep_the_rules(
        zones in prop::collection::vec(0..3u8, 1..10),
        excluded in 0..3u8,
        max_replicas in 0..4u64,
        tasks in 0..40u64,
        drained in 0..10usize,
        seed: u64,
    ) {
        let mut rng = Rng::from_seed(seed);
        let mut store = store(&[]);
        for (number, zone) in zones.iter().enumerate() {
            let mut node = node(&format!("n{number}"));
            node.spec.annotations.labels.insert("zone".into(), zone.to_string());
            if number == drained {
                node.spec.availability = Availability::Drain;
            }
            let change = Change::CreateNode(Box::new(node));
            store.apply(Batch::new(at(0), vec![change])).unwrap();
        }
        let mut spec = spec("web", tasks);
        Shared::make_mut(&mut spec.task).placement = Some(Placement {
            constraints: vec![format!("node.labels.zone!={excluded}")],
            max_replicas,
            ..Placement::default()
        });
        create(&mut store, spec, &mut rng);
        settle(&mut store, at(1), &mut rng);
        let mut placed = 0;
        let mut room = 0;
        for (number, zone) in zones.iter().enumerate() {
            let id = node_id(&format!("n{number}"));
            let here = store.tasks_of_node(&id).count() as u64;
            if *zone == excluded || number == drained {
                prop_assert_eq!(here, 0);
            } else {
                prop_assert!(max_replicas == 0 || here <= max_replicas);
                room += if max_replicas == 0 { u64::MAX / 64 } else { max_replicas };
            }
            placed += here;
        }
        prop_assert_eq!(placed, tasks.min(room));
    }

    /// A rolling update never takes more places down than its parallelism,
    /// never has two tasks of one place running when it stops first, and
    /// always ends.
    #[test]
    fn updates_keep_their_promises(
        replicas in 1..12u64,
        parallelism in 0..5u64,
        delay in 0..3u64,
        start_first: bool,
        percent in 20..100u64,
        seed: u64,
    ) {
        let mut rng = Rng::from_seed(seed);
        let mut store = nodes(3);
        let order = if start_first { UpdateOrder::StartFirst } else { UpdateOrder::StopFirst };
        let config = UpdateConfig {
            parallelism,
            delay: Duration::from_secs(delay),
            monitor: Some(Duration::from_secs(1)),
            order,
            ..UpdateConfig::default()
        };
        create(&mut store, ServiceSpec { update: Some(config), ..spec("web", replicas) }, &mut rng);
        settle(&mut store, at(0), &mut rng);
        agents(&mut store, at(0), &mut rng, 100);
        let service = store.service_by_name("web").unwrap().clone();
        let mut new = service.spec.clone();
        Shared::make_mut(&mut new.task).container.image = "image:2".into();
        let update = Command::UpdateService {
            service: service.id.clone(),
            version: service.meta.version,
            spec: Box::new(new),
            registry_auth_from: Default::default(),
        };
        let decision = decide(&store, update, at(1), &mut rng).unwrap();
        store.apply(Batch::new(at(1), decision.changes)).unwrap();
        let mut second = 1;
        loop {
            settle(&mut store, at(second), &mut rng);
            agents(&mut store, at(second), &mut rng, percent);
            let mut running: BTreeMap<u64, usize> = BTreeMap::new();
            for task in store.tasks().filter(|task| task.status.state == TaskState::Running) {
                *running.entry(task.slot).or_default() += 1;
            }
            let down = replicas - running.len() as u64;
            if start_first {
                prop_assert_eq!(down, 0, "starting first takes nothing down");
            } else {
                prop_assert!(running.values().all(|count| *count == 1));
                prop_assert!(parallelism == 0 || down <= parallelism, "{} down", down);
            }
            let service = store.service_by_name("web").unwrap();
            let status = service.update_status.as_ref().map(|status| status.state);
            if status == Some(UpdateState::Completed) {
                break;
            }
            second += 1;
            prop_assert!(second < 1000, "never ends");
        }
        let new = store.tasks().filter(|t| t.is_wanted() && t.spec.container.image == "image:2");
        prop_assert_eq!(new.count() as u64, replicas);
    }

    /// From any mess of tasks, passes and agents reach the wanted number and
    /// then plan nothing.
    #[test]
    fn any_state_heals(
        tasks in prop::collection::vec((1..12u64, 0..3usize, 0..14usize, 0..14usize), 0..40),
        replicas in 0..12u64,
        seed: u64,
    ) {
        let mut rng = Rng::from_seed(seed);
        let mut store = nodes(3);
        let service = test_cluster::service("web", replicas);
        let mut changes = vec![Change::CreateService(Box::new(service.clone()))];
        for (number, (slot, on, state, desired)) in tasks.iter().enumerate() {
            let mut task = test_cluster::task(&service, *slot, &format!("n{on}"));
            task.id = test_cluster::task_id(&number.to_string());
            let state = TaskState::ALL[*state];
            task.status.state = if state == TaskState::Remove { TaskState::Running } else { state };
            if task.status.state < TaskState::Assigned {
                task.node_id = None;
            }
            task.desired_state = TaskState::ALL[*desired].min(TaskState::Remove);
            changes.push(Change::CreateTask(Box::new(task)));
        }
        store.apply(Batch::new(at(0), changes)).unwrap();
        for second in 0..400 {
            settle(&mut store, at(second), &mut rng);
            agents(&mut store, at(second), &mut rng, 60);
        }
        let wanted: Vec<_> = store.tasks().filter(|task| task.is_wanted()).collect();
        prop_assert_eq!(wanted.len() as u64, replicas);
        prop_assert!(wanted.iter().all(|task| task.status.state == TaskState::Running));
        let open = store.tasks().filter(|t| !t.is_wanted() && t.holds_resources()).count();
        prop_assert_eq!(open, 0, "nothing runs that nobody wants");
    }

    /// A node that takes every message holds what the manager wants it to
    /// hold, however the service was scaled in between.
    #[test]
    fn streams_carry_the_whole_truth(
        scales in prop::collection::vec(0..150u64, 1..8),
        reopen in 0..8usize,
        seed: u64,
    ) {
        let mut rng = Rng::from_seed(seed);
        let mut store = nodes(1);
        create(&mut store, spec("web", 3), &mut rng);
        let mut feed = NodeFeed::new(node_id("n0"));
        let mut held = Held::default();
        for (turn, replicas) in scales.into_iter().enumerate() {
            let service = store.service_by_name("web").unwrap().id.clone();
            let command = Command::ScaleService { service, replicas };
            let decision = decide(&store, command, at(1), &mut rng).unwrap();
            store.apply(Batch::new(at(1), decision.changes)).unwrap();
            settle(&mut store, at(1), &mut rng);
            agents(&mut store, at(1), &mut rng, 50);
            if turn == reopen {
                feed = NodeFeed::new(node_id("n0"));
            }
            for message in feed.messages(&store) {
                held.apply(message).unwrap();
            }
            let there: Vec<_> = held.tasks().map(|t| (t.id.clone(), t.desired_state)).collect();
            let meant: Vec<_> = store
                .tasks_of_node(&node_id("n0"))
                .map(|task| (task.id.clone(), task.desired_state))
                .collect();
            prop_assert_eq!(there, meant);
        }
    }

    /// A store is what its snapshot says, also after more batches.
    #[test]
    fn snapshots_are_complete(replicas in 0..30u64, seed: u64) {
        let mut rng = Rng::from_seed(seed);
        let mut store = nodes(3);
        create(&mut store, spec("web", replicas), &mut rng);
        settle(&mut store, at(1), &mut rng);
        let text = serde_json::to_string(&store).unwrap();
        let mut back: Store = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back, &store);
        let change = || vec![Change::RemoveService(store.services().next().unwrap().id.clone())];
        let (one, other) = (change(), change());
        back.apply(Batch::new(at(2), one)).unwrap();
        let mut store = store.clone();
        store.apply(Batch::new(at(2), other)).unwrap();
        let plans = [&back, &store].map(|view| pass(view, at(3), &mut Rng::from_seed(1)));
        prop_assert_eq!(&plans[0], &plans[1], "the same state gives the same plan");
    }

    /// A batch that fails leaves nothing behind.
    #[test]
    fn failed_batches_change_nothing(good in 0..20usize, seed: u64) {
        let mut rng = Rng::from_seed(seed);
        let mut store = nodes(2);
        create(&mut store, spec("web", 5), &mut rng);
        settle(&mut store, at(1), &mut rng);
        let before = store.clone();
        let mut changes: Vec<_> = store
            .tasks()
            .take(good)
            .map(|task| Change::RemoveTask(task.id.clone()))
            .collect();
        changes.push(Change::RemoveService(service_id("nobody")));
        prop_assert!(store.apply(Batch::new(at(2), changes)).is_err());
        prop_assert_eq!(store, before);
    }

    /// Any token reads back; any text is refused or read, never a crash.
    #[test]
    fn tokens_and_constraints_take_any_text(
        digest: [u8; 32],
        secret: [u8; 16],
        text in "\\PC{0,80}",
    ) {
        let token = JoinToken::new(digest, secret);
        let read = token.to_string().parse::<JoinToken>();
        prop_assert_eq!(read, Ok(token));
        let _ = text.parse::<JoinToken>();
        if let Ok(constraint) = Constraint::parse(&text) {
            constraint.met_by(&node("n1"));
        }
    }
}

fn size(task: &shoal_model::swarm::Task) -> i64 {
    let resources = task.spec.resources.as_ref().unwrap();
    resources.reservations.as_ref().unwrap().memory_bytes
}
