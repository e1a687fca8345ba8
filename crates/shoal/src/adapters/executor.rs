//! Tasks on this node: `cluster::Executor` on top of the engine.
//!
//! A task is one container, named after it and labelled with its id, so that
//! it is found again after a restart of the daemon. Every operation may be
//! called again: what is done already is a success.

mod container;
mod describe;
mod images;
mod index;
mod logs;
mod template;

use std::sync::Arc;

use shoal_cluster::Executor;
use shoal_cluster::agent::{ExecutorError, Exit, LogOptions, LogSink, Observation, Work};
use shoal_engine::domain::{
    BoundPort, ContainerState, ContainerStatus, ContainerView, CreateContainer, HealthStatus, Port,
    Protocol, RemoveOptions, StopOptions, WaitCondition,
};
use shoal_engine::{ContainerError, Containers, Engine};
use shoal_image::Store;
use shoal_model::swarm::{self, NodeDescription, PortConfig, PortProtocol, PublishMode};
use shoal_model::{Classify, ContainerId, Kind, TaskId};
use tokio_util::task::TaskTracker;

use images::Pulls;
use index::Index;

/// What Docker calls the end of a container whose health check failed.
const UNHEALTHY: &str = "dockerexec: unhealthy container";

/// Runs tasks on the engine.
pub(crate) struct EngineExecutor {
    engine: Arc<Engine>,
    pulls: Pulls,
    index: Arc<Index>,
    /// Containers that are being made, each to its end: also that of a task
    /// that was called off is then known, and can be removed.
    makes: TaskTracker,
    labels: Vec<String>,
}

impl EngineExecutor {
    /// For a daemon that has just started; finds the tasks of the one before.
    pub(crate) fn new(engine: Arc<Engine>, images: Arc<Store>, labels: Vec<String>) -> Self {
        let index = Arc::new(Index::default());
        index.read(engine.containers());
        Self { engine, pulls: Pulls::new(images), index, makes: TaskTracker::new(), labels }
    }

    fn containers(&self) -> &Containers {
        self.engine.containers()
    }

    fn find(&self, task: &TaskId) -> Option<ContainerId> {
        self.index.get(task, self.containers())
    }

    fn must_find(&self, task: &TaskId) -> Result<ContainerId, ExecutorError> {
        self.find(task).ok_or_else(|| ExecutorError::Fatal(format!("task {task} has no container")))
    }

    /// Makes a task's container and remembers it, also if nobody waits.
    async fn make(
        &self,
        task: &TaskId,
        request: CreateContainer,
    ) -> Result<Result<(), ContainerError>, ExecutorError> {
        // Somebody else makes it, or has: there is one container per task.
        let Some(coming) = self.index.begin(task) else {
            return Err(ExecutorError::Temporary(format!("task {task} is being prepared")));
        };
        let engine = self.engine.clone();
        let making = self.makes.spawn(async move {
            let created = engine.containers().create(request).await?;
            coming.made(created.id);
            Ok(())
        });
        making.await.map_err(|error| ExecutorError::Temporary(error.to_string()))
    }

    /// Waits until a container is healthy, if it has a health check; stops
    /// one that turns out unhealthy. How one that has ended did so is for
    /// `wait` to tell, unless it failed before it was healthy.
    async fn wait_healthy(&self, id: &ContainerId) -> Result<(), ExecutorError> {
        if !self.is_checked(id)? {
            return Ok(());
        }
        let mut watch = self.containers().watch(id.as_str()).map_err(failed)?;
        let settled = |state: &ContainerState| {
            !state.is_running() || !matches!(health(state), None | Some(HealthStatus::Starting))
        };
        let Some(state) = watch.until(settled).await else {
            return Err(ExecutorError::Fatal(format!("container {id} was removed")));
        };
        if health(&state) == Some(HealthStatus::Unhealthy) {
            let code = self.stop_unhealthy(id).await?;
            let why = format!("task: non-zero exit ({code}): {UNHEALTHY}");
            return Err(ExecutorError::Fatal(why));
        }
        if !state.is_running() && state.exit_code != 0 {
            return Err(ExecutorError::Fatal(ended(&state)));
        }
        Ok(())
    }

    /// Whether a container has a health check.
    fn is_checked(&self, id: &ContainerId) -> Result<bool, ExecutorError> {
        let view = self.containers().inspect(id.as_str()).map_err(failed)?;
        Ok(view.config.probe().is_some())
    }

    /// Stops an unhealthy container, whose task is over; gives its exit code.
    async fn stop_unhealthy(&self, id: &ContainerId) -> Result<i32, ExecutorError> {
        stop(self.containers(), id, None).await?;
        let view = self.containers().inspect(id.as_str()).map_err(failed)?;
        Ok(i32::try_from(view.state.exit_code).unwrap_or(-1))
    }

    /// Returns when a container is unhealthy, now or later; never for one
    /// without a health check.
    async fn unhealthy(&self, id: &ContainerId) {
        if self.is_checked(id).unwrap_or(false)
            && let Ok(mut watch) = self.containers().watch(id.as_str())
        {
            let unhealthy = |state: &ContainerState| health(state) == Some(HealthStatus::Unhealthy);
            if watch.until(unhealthy).await.is_some() {
                return;
            }
        }
        std::future::pending().await
    }
}

impl Executor for EngineExecutor {
    async fn describe(&self) -> Result<NodeDescription, ExecutorError> {
        let labels = self.labels.clone();
        tokio::task::spawn_blocking(move || describe::describe(&labels))
            .await
            .map_err(|error| ExecutorError::Temporary(error.to_string()))
    }

    async fn fetch(&self, work: &Work) {
        let spec = &work.task.spec.container;
        if self.find(&work.task.id).is_none() {
            self.pulls.fetch(&spec.image, &spec.registry_auth).await;
        }
    }

    async fn prepare(&self, work: &Work) -> Result<(), ExecutorError> {
        self.index.settled(&work.task.id).await;
        if self.find(&work.task.id).is_some() {
            return Ok(());
        }
        let node = self.describe().await?;
        let request = container::request(work, &node).map_err(ExecutorError::Fatal)?;
        match self.make(&work.task.id, request).await? {
            Ok(()) => Ok(()),
            Err(ContainerError::NoSuchImage(image)) => {
                let spec = &work.task.spec.container;
                let why = self.pulls.failure(&spec.image, &spec.registry_auth);
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                Err(ExecutorError::Fatal(format!("No such image: {image}{why}")))
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn start(&self, work: &Work) -> Result<(), ExecutorError> {
        let id = self.must_find(&work.task.id)?;
        let view = self.containers().inspect(id.as_str()).map_err(failed)?;
        // A task runs once: what ended while nobody looked is not begun again.
        if view.state.started_at.is_some() {
            return Ok(());
        }
        match self.containers().start(id.as_str()).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == Kind::NotModified => Ok(()),
            Err(error) => Err(match failed(error) {
                // Docker's words for `service ps`.
                ExecutorError::Fatal(why) => {
                    ExecutorError::Fatal(format!("starting container failed: {why}"))
                }
                busy @ ExecutorError::Temporary(_) => busy,
            }),
        }
    }

    async fn ready(&self, task: &TaskId) -> Result<(), ExecutorError> {
        self.wait_healthy(&self.must_find(task)?).await
    }

    async fn wait(&self, task: &TaskId) -> Result<Exit, ExecutorError> {
        let id = self.must_find(task)?;
        let waiting =
            self.containers().wait(id.as_str(), WaitCondition::NotRunning).map_err(failed)?;
        tokio::select! {
            waited = waiting.done() => {
                let killed = self.containers().inspect(id.as_str()).is_ok_and(|view| view.state.oom_killed);
                let cause = killed.then(|| "OOM killed".to_owned());
                Ok(Exit { code: i32::try_from(waited.exit_code).unwrap_or(-1), cause })
            }
            () = self.unhealthy(&id) => {
                let code = self.stop_unhealthy(&id).await?;
                Ok(Exit { code, cause: Some(UNHEALTHY.to_owned()) })
            }
        }
    }

    async fn shutdown(&self, work: &Work) -> Result<(), ExecutorError> {
        self.index.settled(&work.task.id).await;
        let Some(id) = self.find(&work.task.id) else { return Ok(()) };
        let grace = work.task.spec.container.stop_grace_period();
        let seconds = i64::try_from(grace.as_secs_f64().ceil() as u64).unwrap_or(i64::MAX);
        stop(self.containers(), &id, Some(seconds)).await
    }

    async fn remove(&self, task: &TaskId) -> Result<(), ExecutorError> {
        self.index.settled(task).await;
        if let Some(id) = self.find(task) {
            let options = RemoveOptions { force: true, volumes: true };
            match self.containers().remove(id.as_str(), options).await {
                Ok(()) => {}
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        self.index.remove(task);
        Ok(())
    }

    async fn observe(&self, task: &TaskId) -> Result<Option<Observation>, ExecutorError> {
        let Some(id) = self.find(task) else { return Ok(None) };
        match self.containers().inspect(id.as_str()) {
            Ok(view) => Ok(Some(observation(&view))),
            Err(error) if error.kind() == Kind::NotFound => {
                self.index.remove(task);
                Ok(None)
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn known_tasks(&self) -> Result<Vec<TaskId>, ExecutorError> {
        self.index.read(self.containers());
        Ok(self.index.tasks())
    }

    async fn logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
        sink: &mut (impl LogSink + Send),
    ) -> Result<(), ExecutorError> {
        let id = self.must_find(task)?;
        logs::send(self.containers(), &id, options, sink).await
    }
}

/// Stops a container; one that does not run or is gone is stopped. Whatever else stands in the
/// way, it may still run, so that it has to be stopped again.
async fn stop(
    containers: &Containers,
    id: &ContainerId,
    timeout_s: Option<i64>,
) -> Result<(), ExecutorError> {
    match containers.stop(id.as_str(), StopOptions { signal: None, timeout_s }).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), Kind::NotModified | Kind::NotFound) => Ok(()),
        Err(error) => Err(ExecutorError::Temporary(error.chain())),
    }
}

/// What the agent may try again and what not.
fn failed(error: ContainerError) -> ExecutorError {
    match error.kind() {
        Kind::Unavailable => ExecutorError::Temporary(error.chain()),
        _ => ExecutorError::Fatal(error.chain()),
    }
}

/// What the health check of a container says while it runs; one that has ended is told by its exit.
fn health(state: &ContainerState) -> Option<HealthStatus> {
    state.health.as_ref().filter(|_| state.is_running()).map(|view| view.status)
}

fn ended(state: &ContainerState) -> String {
    if state.error.is_empty() {
        format!("task: non-zero exit ({})", state.exit_code)
    } else {
        state.error.clone()
    }
}

fn observation(view: &ContainerView) -> Observation {
    let state = &view.state;
    let exited = matches!(state.status, ContainerStatus::Exited | ContainerStatus::Dead);
    let container = swarm::ContainerStatus {
        container_id: view.id.to_string(),
        pid: state.pid,
        exit_code: if exited { i32::try_from(state.exit_code).unwrap_or(-1) } else { 0 },
    };
    Observation { container, ports: bound_ports(view) }
}

fn bound_ports(view: &ContainerView) -> Vec<PortConfig> {
    let bound =
        view.ports.iter().flat_map(|(port, bound)| bound.iter().map(move |bound| (port, bound)));
    let config = |(port, bound): (&Port, &BoundPort)| PortConfig {
        name: String::new(),
        protocol: match port.protocol {
            Protocol::Tcp => PortProtocol::Tcp,
            Protocol::Udp => PortProtocol::Udp,
            Protocol::Sctp => PortProtocol::Sctp,
        },
        target_port: port.number,
        published_port: bound.host_port,
        publish_mode: PublishMode::Host,
    };
    bound.map(config).collect()
}

#[cfg(test)]
mod tests;
