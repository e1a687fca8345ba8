//! The pretended machine keeps the rules of every executor.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod common;

use std::sync::Arc;

use common::Machine;
use common::machine::MISSING_IMAGE;
use shoal_cluster::Rng;
use shoal_cluster::agent::Work;
use shoal_cluster::agent::contract::{self, Program};
use shoal_model::Timestamp;
use shoal_model::swarm::{
    Annotations, ContainerSpec, Meta, Task, TaskOrigin, TaskSpec, TaskState, TaskStatus, Version,
};

fn work(program: Program, rng: &mut Rng) -> Work {
    let (image, command) = match program {
        Program::RunsUntilStopped => ("busybox", vec![]),
        Program::ExitsWith3 => ("busybox", vec!["exit".to_owned(), "3".to_owned()]),
        Program::WritesLines => ("busybox", vec!["write".to_owned()]),
        Program::MissingImage => (MISSING_IMAGE, vec![]),
    };
    let container = ContainerSpec { image: image.to_owned(), command, ..ContainerSpec::default() };
    let task = Task {
        id: rng.task_id(),
        meta: Meta::default(),
        spec: TaskSpec { container, ..TaskSpec::default() }.into(),
        spec_version: Version(1),
        service_id: rng.service_id(),
        slot: 1,
        node_id: Some(rng.node_id()),
        service_annotations: Annotations::named("contract"),
        status: TaskStatus::new(TaskState::Assigned, "", Timestamp::EPOCH),
        desired_state: TaskState::Running,
        networks: Vec::new(),
        endpoint: None,
        log_driver: None,
        origin: TaskOrigin::default(),
        start_after: None,
        started_at: None,
        created_in: Version::default(),
    };
    Work { task: Arc::new(task), secrets: Vec::new(), configs: Vec::new() }
}

#[tokio::test]
async fn the_pretended_machine_is_an_executor() {
    let mut rng = Rng::from_seed(1);
    let machine = Machine::new("machine");
    contract::run(&*machine, |program| work(program, &mut rng)).await;
}
