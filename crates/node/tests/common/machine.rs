//! A machine that only pretends to run containers. It outlives the node's process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use shoal_cluster::agent::{
    Executor, ExecutorError, Exit, LogLine, LogOptions, LogSink, LogStream, LogTail, Observation,
    Work,
};
use shoal_model::swarm::{ContainerStatus, EngineDescription, NodeDescription, Plugin, Resources};
use shoal_model::{Platform, TaskId, Timestamp};
use tokio::sync::watch;

/// An image no registry has.
pub const MISSING_IMAGE: &str = "no-such-image";

/// An image whose containers never become healthy.
pub const NEVER_READY: &str = "never-ready";

/// An image whose registry never answers.
pub const SLOW_IMAGE: &str = "slow-image";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Made,
    Runs,
    Ended(i32),
}

/// What a container runs.
#[derive(Clone, Copy)]
enum Program {
    UntilStopped,
    Exit(i32),
    Write,
}

impl Program {
    /// `exit 3`, `write`, or anything else, which runs until it is stopped.
    fn from_command(command: &[String]) -> Self {
        match command {
            [name, code] if name == "exit" => Self::Exit(code.parse().unwrap()),
            [name] if name == "write" => Self::Write,
            _ => Self::UntilStopped,
        }
    }

    /// Starts; what it writes at once, and whether it then still runs.
    fn run(self, lines: &mut Vec<LogLine>) -> Life {
        match self {
            Self::UntilStopped => Life::Runs,
            Self::Exit(code) => Life::Ended(code),
            Self::Write => {
                for (text, stream) in [
                    ("one", LogStream::Stdout),
                    ("two", LogStream::Stdout),
                    ("three", LogStream::Stdout),
                    ("four", LogStream::Stderr),
                ] {
                    lines.push(line(lines.len(), stream, text));
                }
                Life::Ended(0)
            }
        }
    }
}

fn line(number: usize, stream: LogStream, text: &str) -> LogLine {
    LogLine {
        timestamp: Timestamp::from_seconds(i64::try_from(number).unwrap()),
        stream,
        data: format!("{text}\n").into_bytes(),
    }
}

struct Container {
    life: watch::Sender<Life>,
    starts: u32,
    lines: Vec<LogLine>,
    program: Program,
    image: String,
    registry_auth: String,
    secrets: Vec<Vec<u8>>,
}

/// The machine.
pub struct Machine {
    name: String,
    containers: Mutex<BTreeMap<TaskId, Container>>,
    refusals: Mutex<Refusals>,
    /// Whether starts take until this is no longer so.
    starts_held: watch::Sender<bool>,
    begun: AtomicU32,
}

/// How often something still fails for good, as the machine sees it.
#[derive(Default)]
pub struct Refusals {
    pub stops: u32,
    pub removals: u32,
}

/// Uses up one refusal, if there is one.
fn refused(left: &mut u32) -> Result<(), ExecutorError> {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            Err(ExecutorError::Fatal("the shim does not answer".to_owned()))
        }
        None => Ok(()),
    }
}

impl Machine {
    pub fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            containers: Mutex::default(),
            refusals: Mutex::default(),
            starts_held: watch::Sender::new(false),
            begun: AtomicU32::new(0),
        })
    }

    fn containers(&self) -> MutexGuard<'_, BTreeMap<TaskId, Container>> {
        self.containers.lock().unwrap()
    }

    /// Containers that run.
    pub fn running(&self) -> usize {
        self.containers().values().filter(|one| *one.life.borrow() == Life::Runs).count()
    }

    /// All containers, whatever their state.
    pub fn all(&self) -> Vec<TaskId> {
        self.containers().keys().cloned().collect()
    }

    /// How often all containers together were started.
    pub fn starts(&self) -> u32 {
        self.containers().values().map(|one| one.starts).sum()
    }

    /// Images of the containers that run.
    pub fn images(&self) -> Vec<String> {
        let runs = |one: &&Container| *one.life.borrow() == Life::Runs;
        self.containers().values().filter(runs).map(|one| one.image.clone()).collect()
    }

    /// Credentials the containers were made with.
    pub fn credentials(&self) -> Vec<String> {
        self.containers().values().map(|one| one.registry_auth.clone()).collect()
    }

    /// Contents of the secrets the containers were made with.
    pub fn secrets(&self) -> Vec<Vec<u8>> {
        self.containers().values().flat_map(|one| one.secrets.clone()).collect()
    }

    /// Lets starts take until they are released.
    pub fn hold_starts(&self, held: bool) {
        self.starts_held.send_replace(held);
    }

    /// How many starts were begun so far.
    pub fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    /// What fails from now on, and how often.
    pub fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap()
    }

    /// A program ends by itself.
    pub fn end(&self, task: &TaskId, code: i32) {
        self.containers()[task].life.send_replace(Life::Ended(code));
    }

    /// A program writes a line.
    pub fn print(&self, task: &TaskId, text: &str) {
        let mut containers = self.containers();
        let container = containers.get_mut(task).unwrap();
        container.lines.push(line(container.lines.len(), LogStream::Stdout, text));
        container.life.send_modify(|_| {});
    }

    fn life(&self, task: &TaskId) -> Option<watch::Receiver<Life>> {
        self.containers().get(task).map(|one| one.life.subscribe())
    }
}

fn plugins() -> Vec<Plugin> {
    [("Log", "json-file"), ("Network", "bridge"), ("Network", "host"), ("Volume", "local")]
        .map(|(kind, name)| Plugin { kind: kind.to_owned(), name: name.to_owned() })
        .to_vec()
}

impl Executor for Machine {
    async fn describe(&self) -> Result<NodeDescription, ExecutorError> {
        Ok(NodeDescription {
            hostname: self.name.clone(),
            platform: Some(Platform::host()),
            resources: Resources {
                nano_cpus: 64_000_000_000,
                memory_bytes: 64 << 30,
                generic: Vec::new(),
            },
            engine: EngineDescription {
                version: "test".to_owned(),
                // What a Docker manager looks for before it places a task.
                plugins: plugins(),
                ..EngineDescription::default()
            },
            ..NodeDescription::default()
        })
    }

    async fn fetch(&self, work: &Work) {
        if work.task.spec.container.image == SLOW_IMAGE {
            std::future::pending::<()>().await;
        }
    }

    async fn prepare(&self, work: &Work) -> Result<(), ExecutorError> {
        let spec = &work.task.spec.container;
        if spec.image.starts_with(MISSING_IMAGE) {
            return Err(ExecutorError::Fatal(format!("No such image: {}", spec.image)));
        }
        self.containers().entry(work.task.id.clone()).or_insert_with(|| Container {
            life: watch::Sender::new(Life::Made),
            starts: 0,
            lines: Vec::new(),
            program: Program::from_command(&spec.command),
            image: spec.image.clone(),
            registry_auth: spec.registry_auth.clone(),
            secrets: work.secrets.iter().map(|secret| secret.spec.data.clone()).collect(),
        });
        Ok(())
    }

    async fn start(&self, work: &Work) -> Result<(), ExecutorError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.starts_held.subscribe().wait_for(|held| !held).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut containers = self.containers();
        let container = containers
            .get_mut(&work.task.id)
            .ok_or_else(|| ExecutorError::Fatal("no such container".to_owned()))?;
        if *container.life.borrow() == Life::Made {
            container.starts += 1;
            let after = container.program.run(&mut container.lines);
            container.life.send_replace(after);
        }
        Ok(())
    }

    async fn ready(&self, task: &TaskId) -> Result<(), ExecutorError> {
        let never = self.containers().get(task).is_some_and(|one| one.image == NEVER_READY);
        match never {
            true => std::future::pending().await,
            false => Ok(()),
        }
    }

    async fn wait(&self, task: &TaskId) -> Result<Exit, ExecutorError> {
        let gone = || ExecutorError::Fatal("no such container".to_owned());
        let mut life = self.life(task).ok_or_else(gone)?;
        let ended = life.wait_for(|life| matches!(life, Life::Ended(_))).await;
        match ended.map(|life| *life) {
            Ok(Life::Ended(code)) => Ok(Exit { code, cause: None }),
            _ => Err(gone()),
        }
    }

    async fn shutdown(&self, work: &Work) -> Result<(), ExecutorError> {
        refused(&mut self.refusals().stops)?;
        if let Some(container) = self.containers().get(&work.task.id) {
            container.life.send_if_modified(|life| {
                let runs = *life == Life::Runs;
                if runs {
                    *life = Life::Ended(143);
                }
                runs
            });
        }
        Ok(())
    }

    async fn remove(&self, task: &TaskId) -> Result<(), ExecutorError> {
        refused(&mut self.refusals().removals)?;
        self.containers().remove(task);
        Ok(())
    }

    async fn observe(&self, task: &TaskId) -> Result<Option<Observation>, ExecutorError> {
        Ok(self.containers().get(task).map(|container| {
            let (pid, exit_code) = match *container.life.borrow() {
                Life::Made => (0, 0),
                Life::Runs => (1, 0),
                Life::Ended(code) => (0, code),
            };
            let container_id = format!("container-{task}");
            Observation {
                container: ContainerStatus { container_id, pid, exit_code },
                ports: Vec::new(),
            }
        }))
    }

    async fn known_tasks(&self) -> Result<Vec<TaskId>, ExecutorError> {
        Ok(self.all())
    }

    async fn logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
        sink: &mut (impl LogSink + Send),
    ) -> Result<(), ExecutorError> {
        let gone = || ExecutorError::Fatal("no such container".to_owned());
        let mut life = self.life(task).ok_or_else(gone)?;
        let wanted = |line: &&LogLine| {
            let stream = match line.stream {
                LogStream::Stdout => options.stdout,
                LogStream::Stderr => options.stderr,
            };
            stream && options.since.is_none_or(|since| line.timestamp >= since)
        };
        let mut next = None;
        loop {
            let (lines, over) = {
                let containers = self.containers();
                let Some(container) = containers.get(task) else { return Ok(()) };
                let over = matches!(*life.borrow_and_update(), Life::Ended(_)) || !options.follow;
                let lines: Vec<LogLine> = container.lines.iter().filter(wanted).cloned().collect();
                (lines, over)
            };
            let first = next.unwrap_or(match options.tail {
                LogTail::All => 0,
                LogTail::Last(last) => lines.len().saturating_sub(usize::try_from(last).unwrap()),
            });
            next = Some(lines.len());
            for line in lines.into_iter().skip(first) {
                if sink.send(line).await.is_err() {
                    return Ok(());
                }
            }
            if over || life.changed().await.is_err() {
                return Ok(());
            }
        }
    }
}
