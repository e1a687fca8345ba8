//! What every [`Executor`] must do: the suite its implementations are tested
//! with, the fake included (feature `contract`).
//!
//! The caller brings the runtime, the executor, and a way to make tasks that
//! run certain programs on it.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use shoal_model::TaskId;

use super::{
    Executor, ExecutorError, Exit, LogLine, LogOptions, LogSink, LogStream, LogTail, SinkClosed,
    Work,
};

/// What a task of the suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Runs until it is told to stop, and then stops at once.
    RunsUntilStopped,
    /// Ends at once with status 3.
    ExitsWith3,
    /// Writes the lines `one`, `two`, `three` to stdout, `four` to stderr,
    /// and ends with status 0.
    WritesLines,
    /// Its image, `no-such-image:1`, is nowhere to be found.
    MissingImage,
}

/// Runs the whole suite; panics with what was broken. `make` makes a new
/// task, with an id of its own each time.
pub async fn run<E: Executor>(executor: &E, mut make: impl FnMut(Program) -> Work) {
    describes_itself(executor).await;
    a_whole_life(executor, make(Program::RunsUntilStopped)).await;
    everything_twice(executor, make(Program::RunsUntilStopped)).await;
    an_end_is_reported(executor, make(Program::ExitsWith3)).await;
    what_has_ended_is_not_started_again(executor, make(Program::WritesLines)).await;
    waiting_can_be_given_up(executor, make(Program::RunsUntilStopped)).await;
    what_runs_can_be_removed(executor, make(Program::RunsUntilStopped)).await;
    what_never_was_can_be_stopped_and_removed(executor, make(Program::RunsUntilStopped)).await;
    a_missing_image_is_fatal(executor, make(Program::MissingImage)).await;
    logs_are_read(executor, make(Program::WritesLines)).await;
    a_follower_waits_for_the_start(executor, make(Program::WritesLines)).await;
    a_follower_of_what_never_starts_ends_with_it(executor, make(Program::WritesLines)).await;
}

async fn describes_itself<E: Executor>(executor: &E) {
    let description = executor.describe().await.expect("describe");
    assert!(!description.hostname.is_empty(), "a node has a host name");
    assert!(description.platform.is_some(), "a node has a platform");
    assert!(description.resources.nano_cpus > 0, "a node has processors");
    assert!(description.resources.memory_bytes > 0, "a node has memory");
}

async fn a_whole_life<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    assert_eq!(executor.observe(id).await, Ok(None), "nothing before prepare");
    prepare(executor, &work).await;
    let made = executor.observe(id).await.expect("observe").expect("a container");
    assert!(!made.container.container_id.is_empty(), "a container has an id");
    assert_eq!(made.container.pid, 0, "prepared is not started");
    assert!(knows(executor, id).await, "a prepared task is known");
    executor.start(&work).await.expect("start");
    executor.ready(id).await.expect("without a health check it is ready");
    let running = executor.observe(id).await.expect("observe").expect("a container");
    assert_ne!(running.container.pid, 0, "a running container has a process");
    assert_eq!(running.container.container_id, made.container.container_id);
    executor.shutdown(&work).await.expect("shutdown");
    let ended = executor.observe(id).await.expect("observe").expect("a container");
    assert_eq!(ended.container.pid, 0, "an ended container has no process");
    assert!(knows(executor, id).await, "an ended task is known until it is removed");
    executor.remove(id).await.expect("remove");
    assert_eq!(executor.observe(id).await, Ok(None), "nothing after remove");
    assert!(!knows(executor, id).await, "a removed task is not known");
}

async fn everything_twice<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    for _ in 0..2 {
        executor.prepare(&work).await.expect("prepare again");
    }
    for _ in 0..2 {
        executor.start(&work).await.expect("start again");
    }
    let first = executor.observe(id).await.expect("observe");
    executor.prepare(&work).await.expect("prepare what runs");
    assert_eq!(executor.observe(id).await.expect("observe"), first, "it runs on untouched");
    for _ in 0..2 {
        executor.shutdown(&work).await.expect("shut down again");
    }
    for _ in 0..2 {
        executor.remove(id).await.expect("remove again");
    }
}

async fn an_end_is_reported<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    prepare(executor, &work).await;
    executor.start(&work).await.expect("start");
    for _ in 0..2 {
        // The second time it has ended long ago.
        let Exit { code, .. } = executor.wait(id).await.expect("wait");
        assert_eq!(code, 3);
    }
    let ended = executor.observe(id).await.expect("observe").expect("a container");
    assert_eq!((ended.container.pid, ended.container.exit_code), (0, 3));
    executor.shutdown(&work).await.expect("shut down what has ended");
    executor.remove(id).await.expect("remove");
}

/// The agent asks again after a restart in between.
async fn what_has_ended_is_not_started_again<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    let all = LogOptions::default();
    prepare(executor, &work).await;
    executor.start(&work).await.expect("start");
    let exit = executor.wait(id).await.expect("wait");
    let lines = read(executor, id, &all, usize::MAX).await;
    executor.start(&work).await.expect("start what has ended");
    executor.ready(id).await.expect("it has not failed");
    assert_eq!(executor.wait(id).await.expect("wait again"), exit);
    assert_eq!(read(executor, id, &all, usize::MAX).await, lines, "it ran a second time");
    executor.remove(id).await.expect("remove");
}

async fn waiting_can_be_given_up<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    prepare(executor, &work).await;
    executor.start(&work).await.expect("start");
    let waited = once(executor.wait(id)).await;
    assert_eq!(waited, None, "it still runs");
    executor.shutdown(&work).await.expect("shutdown");
    executor.wait(id).await.expect("wait for what has ended");
    executor.remove(id).await.expect("remove");
}

async fn what_runs_can_be_removed<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    prepare(executor, &work).await;
    executor.start(&work).await.expect("start");
    executor.remove(id).await.expect("remove");
    assert_eq!(executor.observe(id).await, Ok(None));
}

async fn what_never_was_can_be_stopped_and_removed<E: Executor>(executor: &E, work: Work) {
    executor.shutdown(&work).await.expect("shutdown");
    executor.remove(&work.task.id).await.expect("remove");
    assert_eq!(executor.observe(&work.task.id).await, Ok(None));
}

async fn a_missing_image_is_fatal<E: Executor>(executor: &E, work: Work) {
    executor.fetch(&work).await;
    let error = executor.prepare(&work).await.expect_err("there is no such image");
    let ExecutorError::Fatal(text) = &error else { panic!("not fatal: {error}") };
    assert!(text.contains("no-such-image"), "names the image: {text}");
    assert_eq!(executor.observe(&work.task.id).await, Ok(None), "nothing half-made");
    executor.remove(&work.task.id).await.expect("remove");
}

async fn logs_are_read<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    prepare(executor, &work).await;
    executor.start(&work).await.expect("start");
    executor.wait(id).await.expect("wait");
    let all = LogOptions { follow: true, ..LogOptions::default() };
    let stdout = LogOptions { stderr: false, ..LogOptions::default() };
    let stderr = LogOptions { stdout: false, ..LogOptions::default() };
    let last = LogOptions { tail: LogTail::Last(2), ..stdout.clone() };
    let mut lines = read(executor, id, &all, usize::MAX).await;
    // The two streams may come in either order.
    lines.sort();
    assert_eq!(lines, ["four", "one", "three", "two"]);
    assert_eq!(read(executor, id, &stdout, usize::MAX).await, ["one", "two", "three"]);
    assert_eq!(read(executor, id, &stderr, usize::MAX).await, ["four"]);
    assert_eq!(read(executor, id, &last, usize::MAX).await, ["two", "three"]);
    assert_eq!(read(executor, id, &stdout, 1).await, ["one"], "stops when nobody listens");
    executor.remove(id).await.expect("remove");
    executor.logs(id, &all, &mut Lines::default()).await.expect_err("no such task");
}

/// A task that replaces another is made long before it is started.
async fn a_follower_waits_for_the_start<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    prepare(executor, &work).await;
    let follow = LogOptions { follow: true, tail: LogTail::Last(0), ..LogOptions::default() };
    let running = async {
        executor.start(&work).await.expect("start");
        executor.wait(id).await.expect("wait");
    };
    let (mut lines, ()) = both(read(executor, id, &follow, usize::MAX), running).await;
    lines.sort();
    assert_eq!(lines, ["four", "one", "three", "two"], "every line is new");
    executor.remove(id).await.expect("remove");
}

async fn a_follower_of_what_never_starts_ends_with_it<E: Executor>(executor: &E, work: Work) {
    let id = &work.task.id;
    prepare(executor, &work).await;
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let mut lines = Lines::default();
    let removing = async { executor.remove(id).await.expect("remove") };
    // That the task is gone may be said as an error.
    let _ = both(executor.logs(id, &follow, &mut lines), removing).await;
    assert_eq!(lines.lines, []);
}

async fn prepare<E: Executor>(executor: &E, work: &Work) {
    executor.fetch(work).await;
    executor.prepare(work).await.expect("prepare");
}

async fn knows<E: Executor>(executor: &E, task: &TaskId) -> bool {
    executor.known_tasks().await.expect("known tasks").contains(task)
}

async fn read<E: Executor>(
    executor: &E,
    task: &TaskId,
    options: &LogOptions,
    limit: usize,
) -> Vec<String> {
    let mut lines = Lines { limit, ..Lines::default() };
    executor.logs(task, options, &mut lines).await.expect("logs");
    for line in &lines.lines {
        let stream =
            if line.data.starts_with(b"four") { LogStream::Stderr } else { LogStream::Stdout };
        assert_eq!(line.stream, stream);
    }
    let text = |line: LogLine| String::from_utf8_lossy(&line.data).trim_end().to_owned();
    lines.lines.into_iter().map(text).collect()
}

/// Keeps so many lines and then listens no more.
struct Lines {
    lines: Vec<LogLine>,
    limit: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { lines: Vec::new(), limit: usize::MAX }
    }
}

impl LogSink for Lines {
    async fn send(&mut self, line: LogLine) -> Result<(), SinkClosed> {
        if self.lines.len() >= self.limit {
            return Err(SinkClosed);
        }
        self.lines.push(line);
        Ok(())
    }
}

/// Runs two futures side by side, to the end of both.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            second = Some(output);
        }
        match (first.take(), second.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (first, second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Polls a future once and drops it.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
