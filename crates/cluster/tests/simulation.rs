//! Whole clusters from a seed: a manager, many agents, faults, invariants
//! after every step; then the faults stop and the cluster must heal.
//!
//! `SHOAL_SEED=n cargo test -p shoal-cluster --test simulation` runs one seed
//! and prints what happens; `SHOAL_SEEDS=n` runs the first n.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test support outside of test functions"
)]

mod sim;

use shoal_cluster::{Batch, Change, Rng, Store, agent};

#[path = "../src/test_cluster.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod test_cluster;

use sim::{Faults, World};

/// Prints the seed if the test fails in it.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nfailed with SHOAL_SEED={}", self.0);
        }
    }
}

fn seeds(default: u64) -> Vec<u64> {
    match std::env::var("SHOAL_SEED") {
        Ok(seed) => vec![seed.parse().expect("SHOAL_SEED is a number")],
        Err(_) => {
            let count = std::env::var("SHOAL_SEEDS").ok().and_then(|count| count.parse().ok());
            (1..=count.unwrap_or(default)).collect()
        }
    }
}

fn run(nodes: usize, steps: usize, count: u64, faults: Faults) {
    for seed in seeds(count) {
        let _guard = Seed(seed);
        let mut world = World::new(seed, nodes, faults);
        for _ in 0..steps {
            world.step();
        }
        world.heal();
    }
}

#[test]
fn without_faults() {
    run(5, 200, 6, Faults::NONE);
}

#[test]
fn with_programs_that_crash() {
    run(5, 300, 8, Faults { crash: 20, ..Faults::NONE });
}

#[test]
fn with_nodes_that_are_cut_off() {
    run(6, 300, 8, Faults { cut: 15, ..Faults::NONE });
}

#[test]
fn with_managers_that_restart() {
    run(5, 300, 8, Faults { manager_restart: 30, ..Faults::NONE });
}

#[test]
fn with_everything_at_once() {
    run(8, 400, 20, Faults::ALL);
}

#[test]
fn with_many_nodes() {
    run(50, 200, 1, Faults::ALL);
}
