//! The fake executor keeps the contract that the real one is held to.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "test support outside of test functions"
)]

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use shoal_cluster::agent::contract::{Program, run};
use shoal_cluster::agent::fake::FakeExecutor;
use shoal_cluster::agent::{self, Executor, Work};
use shoal_cluster::{Batch, Change, Rng, Store};
use shoal_model::swarm::{Shared, Task};

#[path = "../src/test_cluster.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod test_cluster;

/// Wakes the thread that blocks on a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn make() -> impl FnMut(Program) -> Work {
    let service = test_cluster::service("web", 1);
    let mut slot = 0;
    move |program| {
        slot += 1;
        let image = match program {
            Program::RunsUntilStopped => "sleeps",
            Program::ExitsWith3 => "exits-3",
            Program::WritesLines => "lines",
            Program::MissingImage => "no-such-image:1",
        };
        let mut task: Task = test_cluster::task(&service, slot, "n1");
        Shared::make_mut(&mut task.spec).container.image = image.to_owned();
        Work { task: Arc::new(task), secrets: Vec::new(), configs: Vec::new() }
    }
}

#[test]
fn the_fake_keeps_the_contract() {
    block_on(run(&FakeExecutor::new("n1"), make()));
}

#[test]
fn whoever_waits_is_woken() {
    let executor = Arc::new(FakeExecutor::new("n1"));
    let work = make()(Program::RunsUntilStopped);
    block_on(executor.prepare(&work)).unwrap();
    block_on(executor.start(&work)).unwrap();
    let (other, id) = (Arc::clone(&executor), work.task.id.clone());
    let waiter = std::thread::spawn(move || block_on(other.wait(&id)));
    executor.end(&work.task.id, 7);
    assert_eq!(waiter.join().unwrap().unwrap().code, 7);
}
