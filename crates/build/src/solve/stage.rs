//! One stage from its `FROM` to its last instruction.

use std::sync::Arc;

use shoal_image::ProgressSink;
use shoal_model::{Digest, Platform};
use tokio::sync::mpsc;

use super::{Shared, copy, run, sources, total_steps};
use crate::{
    BuildError, CachedStep, Event, ResolveImage, Worker, WorkerError,
    cache_key::CacheKey,
    dockerfile::{self, Command, Instruction},
    graph::{Base, CopyFrom},
    stage::{self, Change, Scope, State, Step},
    support,
};

/// Events of a pull that may wait for the reader; what is more is left out, as
/// the next one says the same with newer numbers.
const PULL_EVENTS: usize = 256;

/// Docker neither makes nor loads an image of more layers.
const MAX_LAYERS: usize = 125;

/// A stage while it is being built.
pub(super) struct Stage<W> {
    pub(super) shared: Arc<Shared<W>>,
    pub(super) index: usize,
    pub(super) state: State,
    /// The line of the instruction, for errors.
    pub(super) line: usize,
    /// The triggers of the base are running.
    in_triggers: bool,
}

/// Builds a stage and puts its result where the others find it.
pub(super) async fn run<W: Worker>(shared: Arc<Shared<W>>, index: usize) -> Result<(), BuildError> {
    match build(&shared, index).await {
        Ok(state) => {
            shared.results[index].send_replace(Some(Arc::new(state)));
            shared.order.finish(index).await
        }
        Err(error) => {
            // The reader may be gone; the error that ended the build counts.
            let _ = shared.order.fail(index).await;
            Err(error)
        }
    }
}

async fn build<W: Worker>(shared: &Arc<Shared<W>>, index: usize) -> Result<State, BuildError> {
    let graph = &shared.graph;
    for needed in &graph.stages[index].needs {
        result(shared, *needed).await;
    }
    let total = total_steps(graph, &shared.request);
    let first = graph.first_step(index);
    let definition = &graph.stages[index];
    let send = |event| shared.order.send(index, event);
    send(Event::Step { number: first, total, text: definition.from.source.clone() }).await?;
    let state = base(shared, index).await?;
    let line = definition.from.line;
    let mut stage = Stage { shared: shared.clone(), index, state, line, in_triggers: false };
    stage.triggers().await?;
    let is_empty = matches!(definition.base, Base::Scratch);
    let id = match &stage.state.parent {
        Some(base) if stage.state.is_untouched() => base.clone(),
        _ => stage.state.id(),
    };
    send(Event::StepDone((!is_empty).then_some(id))).await?;
    for (offset, instruction) in definition.instructions.iter().enumerate() {
        let number = first + 1 + offset;
        send(Event::Step { number, total, text: instruction.source.clone() }).await?;
        stage.line = instruction.line;
        stage.step(&instruction.command).await?;
    }
    if index == graph.target && !shared.request.labels.is_empty() {
        stage.labels(total).await?;
    }
    Ok(stage.state)
}

/// Waits for the result of an earlier stage, which is being built.
pub(super) async fn result<W>(shared: &Shared<W>, index: usize) -> Arc<State> {
    let mut receiver = shared.results[index].subscribe();
    loop {
        if let Some(state) = receiver.borrow_and_update().clone() {
            return state;
        }
        // The senders live as long as `shared`; a stage that fails ends the
        // whole build, this wait included.
        let _ = receiver.changed().await;
    }
}

async fn base<W: Worker>(shared: &Arc<Shared<W>>, index: usize) -> Result<State, BuildError> {
    let definition = &shared.graph.stages[index];
    let platform = &definition.platform;
    match &definition.base {
        Base::Scratch => Ok(State::scratch(platform)),
        Base::Stage(base) => Ok(State::stage(&*result(shared, *base).await)),
        Base::Image(name) => resolve(shared, index, name, platform).await,
    }
}

/// Finds an image, its pull shown as it goes.
pub(super) async fn resolve<W: Worker>(
    shared: &Arc<Shared<W>>,
    index: usize,
    name: &str,
    platform: &Platform,
) -> Result<State, BuildError> {
    let image = ResolveImage {
        name: name.to_owned(),
        platform: platform.clone(),
        pull: shared.request.pull,
    };
    let (sender, mut events) = mpsc::channel(PULL_EVENTS);
    // A sink must not block: an event that finds no place is left out.
    let sink: ProgressSink = Arc::new(move |progress| drop(sender.try_send(progress)));
    let resolving = shared.worker.resolve(image, sink);
    tokio::pin!(resolving);
    let base = loop {
        tokio::select! {
            biased;
            Some(progress) = events.recv() => {
                shared.order.send(index, Event::Pull(progress)).await?;
            }
            // Others may hold the sink for longer: a pull is shared.
            base = &mut resolving => break base,
        }
    };
    while let Ok(progress) = events.try_recv() {
        shared.order.send(index, Event::Pull(progress)).await?;
    }
    let base = base?;
    Ok(State::image(&base.id, base.config, platform))
}

impl<W: Worker> Stage<W> {
    pub(super) async fn send(&self, event: Event) -> Result<(), BuildError> {
        self.shared.order.send(self.index, event).await
    }

    pub(super) fn wrong(&self, message: impl Into<String>) -> BuildError {
        BuildError::Instruction { line: self.line, message: message.into() }
    }

    /// Runs the `ONBUILD` triggers of the base.
    async fn triggers(&mut self) -> Result<(), BuildError> {
        let triggers = self.state.take_triggers();
        if triggers.is_empty() {
            return Ok(());
        }
        self.send(Event::Triggers(triggers.len())).await?;
        self.in_triggers = true;
        for text in triggers {
            let trigger: Instruction =
                dockerfile::parse_trigger(&text).map_err(|error| self.wrong(error.message))?;
            support::check_command(
                &trigger.command,
                &Instruction { line: self.line, ..trigger.clone() },
            )?;
            match trigger.command {
                Command::From(_) | Command::Maintainer(_) | Command::Onbuild(_) => {
                    let name = trigger.command.name();
                    return Err(self.wrong(format!("{name} isn't allowed as an ONBUILD trigger")));
                }
                command => self.step(&command).await?,
            }
        }
        self.in_triggers = false;
        Ok(())
    }

    /// The labels of the request, as one more step.
    async fn labels(&mut self, total: usize) -> Result<(), BuildError> {
        let labels: Vec<_> = self.shared.request.labels.clone().into_iter().collect();
        let change = Change::Label(labels);
        self.send(Event::Step { number: total, total, text: change.comment() }).await?;
        self.change(&change).await
    }

    async fn step(&mut self, command: &Command) -> Result<(), BuildError> {
        let shared = self.shared.clone();
        let scope = Scope {
            build_args: &shared.request.build_args,
            global_args: &shared.global_args,
            escape: shared.graph.escape,
        };
        let step =
            stage::resolve(command, &self.state, scope).map_err(|message| self.wrong(message))?;
        match step {
            Step::Change(change) => self.change(&change).await,
            Step::Workdir(path) => copy::workdir(self, path).await,
            Step::Copy(step) => copy::copy(self, step).await,
            Step::Run { arguments, scripts, network } => {
                run::run(self, arguments, scripts, network).await
            }
        }
    }

    /// A step that touches no file.
    async fn change(&mut self, change: &Change) -> Result<(), BuildError> {
        let comment = change.comment();
        let mut parts = vec!["change".to_owned()];
        parts.extend(change.key_parts());
        let key = self.state.key.step(parts);
        // The line of the history is that of the shell the change may set.
        change.apply(&mut self.state);
        let created_by = nop(&self.state, &format!(" {comment}"));
        let mut slot = self.shared.once.step(&key).await;
        let found = match self.find(&key, slot.as_ref(), &created_by).await? {
            Some(found) => found,
            None => self.remember(&key, None, comment.clone()).await?,
        };
        *slot = Some(found.clone());
        drop(slot);
        self.finish(key, &found, created_by).await
    }

    /// The result of a step from this build, an earlier one or an image to take
    /// steps from.
    pub(super) async fn find(
        &self,
        key: &CacheKey,
        in_this_build: Option<&CachedStep>,
        created_by: &str,
    ) -> Result<Option<CachedStep>, BuildError> {
        let found = match in_this_build {
            Some(found) => Some(found.clone()),
            None if self.shared.request.no_cache => None,
            None => self.shared.worker.cached(key).await?.or_else(|| {
                let mut sources = self.shared.sources.iter();
                sources.find_map(|image| sources::find(image, &self.state.config, created_by))
            }),
        };
        if found.is_some() {
            self.send(Event::CacheHit).await?;
        }
        Ok(found)
    }

    /// Remembers what a step gave, as of now.
    pub(super) async fn remember(
        &self,
        key: &CacheKey,
        layer: Option<Digest>,
        description: String,
    ) -> Result<CachedStep, WorkerError> {
        let created = self.shared.worker.now().rfc3339_nano();
        let step = CachedStep { layer, created, description, other: Default::default() };
        self.shared.worker.remember(key, &step).await?;
        Ok(step)
    }

    /// Goes on to the next step.
    pub(super) async fn finish(
        &mut self,
        key: CacheKey,
        step: &CachedStep,
        created_by: String,
    ) -> Result<(), BuildError> {
        if step.layer.is_some() && self.state.config.rootfs.diff_ids.len() >= MAX_LAYERS {
            let reason = format!("max depth exceeded: an image has at most {MAX_LAYERS} layers");
            return Err(self.wrong(reason));
        }
        self.state.advance(key, step.layer.as_ref(), &step.created, created_by);
        // Docker says it once for all triggers.
        if self.in_triggers {
            return Ok(());
        }
        self.send(Event::StepDone(Some(self.state.id()))).await
    }

    /// The state of what `COPY --from` names.
    pub(super) async fn source(&self, name: &str) -> Result<Arc<State>, BuildError> {
        let from = self.shared.graph.copy_from(self.index, name).map_err(|m| self.wrong(m))?;
        match from {
            CopyFrom::Stage(stage) if !self.shared.graph.needed.contains(&stage) => {
                Err(BuildError::Unsupported {
                    line: self.line,
                    what: format!("a trigger with --from={name}, a stage nothing else needs,"),
                })
            }
            CopyFrom::Stage(stage) => Ok(result(&self.shared, stage).await),
            CopyFrom::Image(name) => {
                let platform = &self.shared.graph.stages[self.index].platform;
                resolve(&self.shared, self.index, &name, platform).await.map(Arc::new)
            }
        }
    }
}

/// The history line of what ran no process. Docker puts one blank before the
/// instructions that copy and two before the others.
pub(super) fn nop(state: &State, comment: &str) -> String {
    format!("{} #(nop) {comment}", state.shell().join(" "))
}
