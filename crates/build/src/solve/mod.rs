//! Running a build: stages that do not need each other at the same time, their
//! output one after the other, each distinct step once.
//!
//! Everything runs inside the future of [`Build::solve`]: dropping it ends all.

mod copy;
mod once;
mod order;
mod output;
mod run;
mod sources;
mod stage;

use std::{collections::BTreeMap, sync::Arc};

use shoal_image::ImageConfig;
use shoal_model::{Digest, Platform};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};

use crate::{
    Build, BuildError, BuildRequest, Context, Event, NewImage, Worker,
    graph::{Graph, PREDEFINED, platform_args},
    stage::State,
};

use once::Once;
use order::Order;

/// Steps that work at the same time: more would only share the same disk and
/// processors.
const MAX_PARALLEL_STEPS: usize = 4;

/// What all stages of a build share.
struct Shared<W> {
    /// Goes before the worker, which tells others that the build is over.
    context: Context,
    worker: Arc<W>,
    graph: Graph,
    request: BuildRequest,
    /// Global arguments and those of the platform, for `ARG` without default.
    global_args: BTreeMap<String, Option<String>>,
    order: Order,
    permits: Semaphore,
    once: Once,
    /// The images of `--cache-from` that are here.
    sources: Vec<ImageConfig>,
    /// The result of each stage, once it has one.
    results: Vec<watch::Sender<Option<Arc<State>>>>,
}

impl Build {
    /// Builds the image and gives it its names. Returns its id.
    ///
    /// Events come in the order of the file, whatever runs at the same time. A
    /// closed channel cancels the build.
    ///
    /// # Errors
    /// The first failure of a stage that was needed.
    pub async fn solve<W: Worker>(
        self,
        worker: Arc<W>,
        progress: mpsc::Sender<Event>,
    ) -> Result<Digest, BuildError> {
        let Self { context, file, graph, request } = self;
        for (line, warning) in &file.warnings {
            send(&progress, Event::Warning(format!("dockerfile line {line}: {warning}"))).await?;
        }
        global_steps(&graph, &request, &progress).await?;
        let unused = unused_args(&file, &graph, &request);
        let shared = Arc::new(Shared {
            global_args: visible_args(&graph, &request),
            order: Order::new(&graph.needed, progress.clone()),
            permits: Semaphore::new(MAX_PARALLEL_STEPS),
            once: Once::default(),
            sources: cache_sources(&*worker, &request).await?,
            results: graph.stages.iter().map(|_| watch::Sender::new(None)).collect(),
            worker: worker.clone(),
            context,
            graph,
            request,
        });
        let state = run_stages(&shared).await?;
        if !unused.is_empty() {
            let text = format!("One or more build-args [{}] were not consumed", unused.join(" "));
            send(&progress, Event::Warning(text)).await?;
        }
        finish(&*worker, &state, &shared.request, &progress).await
    }
}

/// An image that is not here is passed over: it is no more than a hint.
async fn cache_sources<W: Worker>(
    worker: &W,
    request: &BuildRequest,
) -> Result<Vec<ImageConfig>, BuildError> {
    let mut sources = Vec::new();
    for name in &request.cache_from {
        sources.extend(worker.cache_source(name).await?.map(|image| image.config));
    }
    Ok(sources)
}

async fn run_stages<W: Worker>(shared: &Arc<Shared<W>>) -> Result<Arc<State>, BuildError> {
    let mut tasks = JoinSet::new();
    for index in &shared.graph.needed {
        tasks.spawn(stage::run(shared.clone(), *index));
    }
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            // Dropping the set ends the other stages.
            Ok(Err(error)) => return Err(error),
            Err(error) => {
                let error = crate::WorkerError::new(
                    shoal_model::Kind::Internal,
                    format!("a stage of the build ended unexpectedly: {error}"),
                );
                return Err(error.into());
            }
        }
    }
    let result = shared.results[shared.graph.target].borrow().clone();
    result.ok_or_else(|| BuildError::Request("the target stage was not built".to_owned()))
}

async fn global_steps(
    graph: &Graph,
    request: &BuildRequest,
    progress: &mpsc::Sender<Event>,
) -> Result<(), BuildError> {
    let total = total_steps(graph, request);
    for (index, text) in graph.global_steps.iter().enumerate() {
        send(progress, Event::Step { number: index + 1, total, text: text.clone() }).await?;
    }
    Ok(())
}

/// All steps, with the one that sets the labels of the request.
fn total_steps(graph: &Graph, request: &BuildRequest) -> usize {
    graph.steps() + usize::from(!request.labels.is_empty())
}

async fn finish<W: Worker>(
    worker: &W,
    state: &State,
    request: &BuildRequest,
    progress: &mpsc::Sender<Event>,
) -> Result<Digest, BuildError> {
    let tags = request.tags.clone();
    let id = match (&state.parent, state.config.history.is_empty()) {
        (Some(base), _) if state.is_untouched() => {
            worker.tag_image(base, &tags).await?;
            base.clone()
        }
        (None, true) => {
            let reason = "No image was generated. Is your Dockerfile empty?";
            return Err(BuildError::Request(reason.to_owned()));
        }
        (parent, _) => {
            let config: ImageConfig = state.config.clone();
            let image = NewImage { config, tags: tags.clone(), parent: parent.clone() };
            worker.put_image(image).await?
        }
    };
    send(progress, Event::Built(id.clone())).await?;
    for tag in tags {
        send(progress, Event::Tagged(tag)).await?;
    }
    Ok(id)
}

/// What an `ARG` without a default gets.
fn visible_args(graph: &Graph, request: &BuildRequest) -> BTreeMap<String, Option<String>> {
    let machine = Platform::host();
    let target = request.platform.clone().unwrap_or_else(|| machine.clone());
    let mut args: BTreeMap<String, Option<String>> = platform_args(&machine, &target)
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    args.extend(graph.global_args.clone());
    args
}

/// The `--build-arg`s that no `ARG` of the file declares.
fn unused_args(
    file: &crate::dockerfile::Dockerfile,
    graph: &Graph,
    request: &BuildRequest,
) -> Vec<String> {
    use crate::dockerfile::Command;
    let declared: Vec<&str> = file
        .instructions
        .iter()
        .filter_map(|instruction| match &instruction.command {
            Command::Arg(args) => Some(args),
            Command::Onbuild(onbuild) => match &*onbuild.command {
                Command::Arg(args) => Some(args),
                _ => None,
            },
            _ => None,
        })
        .flatten()
        .map(|arg| arg.name.as_str())
        .collect();
    request
        .build_args
        .keys()
        .filter(|name| {
            !declared.contains(&name.as_str())
                && !graph.global_args.contains_key(*name)
                && !PREDEFINED.contains(&name.as_str())
        })
        .cloned()
        .collect()
}

async fn send(progress: &mpsc::Sender<Event>, event: Event) -> Result<(), BuildError> {
    progress.send(event).await.map_err(|_| BuildError::Cancelled)
}

#[cfg(test)]
mod tests;
