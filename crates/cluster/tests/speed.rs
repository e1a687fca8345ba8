//! How long a pass takes in big clusters. Prints; asserts only what came out,
//! never how long it took:
//! `cargo test --release -p shoal-cluster --test speed -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test support outside of test functions"
)]

use std::time::Instant;

use shoal_cluster::dispatch::{NodeFeed, TaskReport, report_tasks};
use shoal_cluster::{Batch, Change, Command, Rng, Store, agent, decide, pass};
use shoal_model::swarm::{TaskState, TaskStatus};

#[path = "../src/test_cluster.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod test_cluster;

use test_cluster::{at, node, spec, store};

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("  {what}: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
    result
}

fn scale_up(tasks: u64, nodes: usize) {
    println!("{tasks} tasks on {nodes} nodes");
    let mut rng = Rng::from_seed(1);
    let mut store = store(&[]);
    let names: Vec<_> = (0..nodes).map(|number| format!("n{number}")).collect();
    let changes = names.iter().map(|name| Change::CreateNode(Box::new(node(name)))).collect();
    store.apply(Batch::new(at(0), changes)).unwrap();
    let command = Command::CreateService(Box::new(spec("web", tasks)));
    let decision = decide(&store, command, at(0), &mut rng).unwrap();
    store.apply(Batch::new(at(0), decision.changes)).unwrap();

    let plan = timed("plan", || pass(&store, at(1), &mut rng));
    let batches = plan.into_batches(at(1));
    timed("apply", || batches.into_iter().for_each(|batch| drop(store.apply(batch).unwrap())));
    assert_eq!(store.tasks().len() as u64, tasks);
    let wanted: Vec<_> = store.nodes().map(|n| store.tasks_of_node(&n.id).count()).collect();
    let (least, most) = (wanted.iter().min().unwrap(), wanted.iter().max().unwrap());
    assert!(most - least <= 1, "evenly spread: {least} to {most}");

    let messages = timed("assignments for all nodes", || {
        store.nodes().map(|n| NodeFeed::new(n.id.clone()).messages(&store).len()).sum::<usize>()
    });
    assert_eq!(messages, nodes);
    timed("take one report of each task", || {
        let ids: Vec<_> = store.nodes().map(|node| node.id.clone()).collect();
        for node in ids {
            let report = |task: &std::sync::Arc<shoal_model::swarm::Task>| TaskReport {
                task: task.id.clone(),
                status: TaskStatus::new(TaskState::Running, "started", at(2)),
            };
            let reports = store.tasks_of_node(&node).map(report).collect();
            let changes = report_tasks(&store, &node, reports, at(2)).unwrap();
            store.apply(Batch::new(at(2), changes)).unwrap();
        }
    });
    let idle = timed("pass with nothing to do", || pass(&store, at(3), &mut rng));
    assert!(idle.is_empty());
    let text = timed("snapshot", || serde_json::to_string(&store).unwrap());
    let back: Store = timed("restore", || serde_json::from_str(&text).unwrap());
    assert_eq!(back.tasks().len() as u64, tasks);
}

#[test]
fn five_hundred_tasks_on_fifty_nodes() {
    scale_up(500, 50);
}

#[test]
fn ten_thousand_tasks_on_a_thousand_nodes() {
    scale_up(10_000, 1000);
}
