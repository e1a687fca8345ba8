//! `RUN`

use tokio::sync::mpsc;

use super::{output::TextStream, stage::Stage};
use crate::{BuildError, Event, OutputStream, RunEvent, RunOutcome, RunStep, Script, Worker};

/// Pieces of output that wait for the reader before the process does.
const OUTPUT_PIECES: usize = 64;

/// Runs a process and keeps what it wrote.
pub(super) async fn run<W: Worker>(
    stage: &mut Stage<W>,
    arguments: Vec<String>,
    scripts: Vec<Script>,
    network: Option<String>,
) -> Result<(), BuildError> {
    let shared = stage.shared.clone();
    let request = &shared.request;
    let recorded = stage.state.recorded_args(&request.build_args);
    let command = arguments.join(" ");
    let network =
        network.filter(|name| name != "default").unwrap_or_else(|| request.network.clone());
    let created_by = if recorded.is_empty() {
        command.clone()
    } else {
        format!("|{} {} {command}", recorded.len(), recorded.join(" "))
    };
    let mut parts = vec!["run".to_owned(), network.clone(), recorded.len().to_string()];
    parts.extend(recorded);
    parts.push(arguments.len().to_string());
    parts.extend(arguments.iter().cloned());
    parts.extend(scripts.iter().flat_map(|s| [s.path.clone(), s.content.clone()]));
    let key = stage.state.key.step(&parts);
    let mut slot = shared.once.step(&key).await;
    if let Some(found) = stage.find(&key, slot.as_ref(), &created_by).await? {
        *slot = Some(found.clone());
        drop(slot);
        return stage.finish(key, &found, created_by).await;
    }
    let config = &stage.state.config.config;
    let mut env = config.env.clone();
    env.extend(stage.state.run_args(&request.build_args));
    let directory = &config.working_dir;
    let step = RunStep {
        arguments,
        env,
        working_dir: if directory.is_empty() { "/".to_owned() } else { directory.clone() },
        user: config.user.clone(),
        network,
        extra_hosts: request.extra_hosts.clone(),
        scripts,
    };
    // The semaphore is never closed.
    let permit = shared.permits.acquire().await.ok();
    let snapshot = shared.worker.snapshot(&stage.state.config.rootfs.diff_ids).await?;
    let (outcome, container) = process(stage, &snapshot, step).await?;
    if outcome.exit_code != 0 {
        return Err(BuildError::Run { command, code: outcome.exit_code });
    }
    let layer = shared.worker.commit(snapshot).await?;
    drop(permit);
    if let Some(container) = container {
        stage.send(Event::ContainerRemoved { container }).await?;
    }
    let step = stage.remember(&key, layer, format!("RUN {command}")).await?;
    *slot = Some(step.clone());
    drop(slot);
    stage.finish(key, &step, created_by).await
}

/// Runs the process while its output goes to the reader.
async fn process<W: Worker>(
    stage: &Stage<W>,
    snapshot: &W::Snapshot,
    step: RunStep,
) -> Result<(RunOutcome, Option<String>), BuildError> {
    let (sender, events) = mpsc::channel(OUTPUT_PIECES);
    let running = async { stage.shared.worker.run(snapshot, step, sender).await };
    let forwarding = forward(stage, events);
    tokio::pin!(running, forwarding);
    let mut outcome = None;
    loop {
        tokio::select! {
            ended = &mut running, if outcome.is_none() => outcome = Some(ended?),
            // Its end before that of the process means that nobody reads.
            forwarded = &mut forwarding => {
                let container = forwarded?;
                let outcome = match outcome {
                    Some(outcome) => outcome,
                    None => running.await?,
                };
                return Ok((outcome, container));
            }
        }
    }
}

/// Passes output on until the worker has dropped its end.
async fn forward<W: Worker>(
    stage: &Stage<W>,
    mut events: mpsc::Receiver<RunEvent>,
) -> Result<Option<String>, BuildError> {
    let mut container = None;
    let (mut stdout, mut stderr) = (TextStream::default(), TextStream::default());
    while let Some(event) = events.recv().await {
        match event {
            RunEvent::Started { container: id } => {
                container = Some(id.clone());
                stage.send(Event::Running { container: id }).await?;
            }
            RunEvent::Stdout(bytes) => {
                output(stage, OutputStream::Stdout, stdout.push(&bytes)).await?;
            }
            RunEvent::Stderr(bytes) => {
                output(stage, OutputStream::Stderr, stderr.push(&bytes)).await?;
            }
        }
    }
    output(stage, OutputStream::Stdout, stdout.end()).await?;
    output(stage, OutputStream::Stderr, stderr.end()).await?;
    Ok(container)
}

async fn output<W: Worker>(
    stage: &Stage<W>,
    stream: OutputStream,
    text: String,
) -> Result<(), BuildError> {
    if text.is_empty() {
        return Ok(());
    }
    stage.send(Event::Output { stream, text }).await
}
