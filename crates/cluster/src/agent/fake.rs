//! An executor that runs nothing: containers are entries in a table. For
//! tests of agents (feature `contract`); it keeps the contract itself.
//!
//! The program follows from the image: `exits-N` ends with status N,
//! `lines` writes four lines and ends, `no-such-image` is not there,
//! everything else runs until it is stopped.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use shoal_model::swarm::{ContainerStatus, NodeDescription, Resources};
use shoal_model::{Platform, TaskId, Timestamp};

use super::{
    Executor, ExecutorError, Exit, LogLine, LogOptions, LogSink, LogStream, LogTail, Observation,
    Work,
};

/// An executor that runs nothing.
#[derive(Debug)]
pub struct FakeExecutor {
    hostname: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    containers: BTreeMap<TaskId, FakeContainer>,
    waiting: Vec<Waker>,
    made: u32,
}

#[derive(Debug)]
struct FakeContainer {
    number: u32,
    image: String,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Made,
    Running,
    Ended(i32),
}

impl FakeExecutor {
    /// An executor of a node with this name, 4 cores and 8 GiB.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self { hostname: hostname.into(), state: Mutex::default() }
    }

    /// Lets a running container end by itself; nothing if it does not run.
    pub fn end(&self, task: &TaskId, code: i32) {
        let mut state = self.state();
        if let Some(container) = state.containers.get_mut(task)
            && container.phase == Phase::Running
        {
            container.phase = Phase::Ended(code);
        }
        state.wake();
    }

    /// Tasks whose containers run.
    pub fn running(&self) -> Vec<TaskId> {
        let state = self.state();
        let runs = |container: &FakeContainer| container.phase == Phase::Running;
        let running = state.containers.iter().filter(|(_, container)| runs(container));
        running.map(|(id, _)| id.clone()).collect()
    }

    fn waits_for_start(&self, task: &TaskId) -> bool {
        self.state().containers.get(task).is_some_and(|container| container.phase == Phase::Made)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The table is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl FakeContainer {
    /// The phase right after the start.
    fn started(&self) -> Phase {
        let program = self.image.split([':', '@']).next().unwrap_or_default();
        match program.strip_prefix("exits-").and_then(|code| code.parse().ok()) {
            Some(code) => Phase::Ended(code),
            None if program == "lines" => Phase::Ended(0),
            None => Phase::Running,
        }
    }

    fn output(&self) -> Vec<LogLine> {
        let line = |(stream, text): (LogStream, &str)| LogLine {
            timestamp: Timestamp::default(),
            stream,
            data: format!("{text}\n").into_bytes(),
        };
        let lines = [
            (LogStream::Stdout, "one"),
            (LogStream::Stdout, "two"),
            (LogStream::Stdout, "three"),
            (LogStream::Stderr, "four"),
        ];
        let writes = self.image.starts_with("lines") && self.phase != Phase::Made;
        lines.into_iter().filter(|_| writes).map(line).collect()
    }
}

/// What a Linux machine with this name, 4 cores and 8 GiB says about itself.
pub fn description(hostname: &str) -> NodeDescription {
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: "x86_64".to_owned(),
        variant: String::new(),
    };
    let resources =
        Resources { nano_cpus: 4_000_000_000, memory_bytes: 8 << 30, generic: Vec::new() };
    NodeDescription {
        hostname: hostname.to_owned(),
        platform: Some(platform),
        resources,
        ..NodeDescription::default()
    }
}

impl Executor for FakeExecutor {
    async fn describe(&self) -> Result<NodeDescription, ExecutorError> {
        Ok(description(&self.hostname))
    }

    async fn prepare(&self, work: &Work) -> Result<(), ExecutorError> {
        let image = &work.task.spec.container.image;
        if image.starts_with("no-such-image") {
            return Err(ExecutorError::Fatal(format!("No such image: {image}")));
        }
        let mut state = self.state();
        if !state.containers.contains_key(&work.task.id) {
            state.made += 1;
            let (number, image) = (state.made, image.clone());
            let container = FakeContainer { number, image, phase: Phase::Made };
            state.containers.insert(work.task.id.clone(), container);
        }
        Ok(())
    }

    async fn start(&self, work: &Work) -> Result<(), ExecutorError> {
        let mut state = self.state();
        let Some(container) = state.containers.get_mut(&work.task.id) else {
            let text = format!("No such container: {}", work.task.name());
            return Err(ExecutorError::Fatal(text));
        };
        if container.phase == Phase::Made {
            container.phase = container.started();
        }
        state.wake();
        Ok(())
    }

    async fn wait(&self, task: &TaskId) -> Result<Exit, ExecutorError> {
        poll_fn(|context| {
            let mut state = self.state();
            match state.containers.get(task).map(|container| container.phase) {
                None => {
                    let text = format!("No such container: {task}");
                    Poll::Ready(Err(ExecutorError::Fatal(text)))
                }
                Some(Phase::Ended(code)) => Poll::Ready(Ok(Exit { code, cause: None })),
                Some(Phase::Made | Phase::Running) => {
                    state.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    async fn shutdown(&self, work: &Work) -> Result<(), ExecutorError> {
        self.end(&work.task.id, 0);
        Ok(())
    }

    async fn remove(&self, task: &TaskId) -> Result<(), ExecutorError> {
        let mut state = self.state();
        state.containers.remove(task);
        state.wake();
        Ok(())
    }

    async fn observe(&self, task: &TaskId) -> Result<Option<Observation>, ExecutorError> {
        let state = self.state();
        let observation = |container: &FakeContainer| {
            let (pid, exit_code) = match container.phase {
                Phase::Made => (0, 0),
                Phase::Running => (container.number, 0),
                Phase::Ended(code) => (0, code),
            };
            let container_id = format!("{:064x}", container.number);
            let container = ContainerStatus { container_id, pid, exit_code };
            Observation { container, ports: Vec::new() }
        };
        Ok(state.containers.get(task).map(observation))
    }

    async fn known_tasks(&self) -> Result<Vec<TaskId>, ExecutorError> {
        Ok(self.state().containers.keys().cloned().collect())
    }

    async fn logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
        sink: &mut (impl LogSink + Send),
    ) -> Result<(), ExecutorError> {
        let LogOptions { stdout, stderr, follow, tail, since: _ } = options;
        let mut tail = *tail;
        if *follow && self.waits_for_start(task) {
            // A container that was removed meanwhile has ended, too.
            let _ = self.wait(task).await;
            tail = LogTail::All;
        }
        let output = self.state().containers.get(task).map(FakeContainer::output);
        let Some(mut lines) = output else {
            return Err(ExecutorError::Fatal(format!("No such container: {task}")));
        };
        lines.retain(|line| match line.stream {
            LogStream::Stdout => *stdout,
            LogStream::Stderr => *stderr,
        });
        if let LogTail::Last(count) = tail {
            let surplus = lines.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
            lines.drain(..surplus);
        }
        for line in lines {
            if sink.send(line).await.is_err() {
                return Ok(());
            }
        }
        if *follow {
            let _ = self.wait(task).await;
        }
        Ok(())
    }
}
