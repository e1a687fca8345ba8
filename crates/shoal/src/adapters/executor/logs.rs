//! The output of tasks, handed to the swarm's log broker.

use std::collections::VecDeque;

use shoal_cluster::agent::{ExecutorError, LogLine, LogOptions, LogSink, LogStream, LogTail};
use shoal_engine::domain::{LogOptions as EngineOptions, LogStreams};
use shoal_engine::{Containers, OutputStream};
use shoal_model::ContainerId;

/// How many lines before the end, of any stream, hold as many of the wanted
/// ones as were asked for. The engine, like Docker, counts before it chooses
/// streams; the swarm means lines it gets.
async fn tail(
    containers: &Containers,
    id: &ContainerId,
    options: &LogOptions,
) -> Result<Option<usize>, ExecutorError> {
    let LogTail::Last(wanted) = options.tail else { return Ok(None) };
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    if (options.stdout && options.stderr) || wanted == 0 {
        return Ok(Some(wanted));
    }
    let everything = EngineOptions { since: options.since, ..EngineOptions::default() };
    let mut log = containers.logs(id.as_str(), everything).await.map_err(super::failed)?;
    let (mut count, mut last) = (0, VecDeque::new());
    while let Some(entry) = log.next().await {
        if options.stdout == (entry.stream == OutputStream::Stdout) {
            if last.len() == wanted {
                last.pop_front();
            }
            last.push_back(count);
        }
        count += 1;
    }
    Ok(Some(last.front().map_or(0, |first| count - first)))
}

/// Waits for the start of a container that was only made; gives whether there was anything to
/// wait for. The engine, like Docker, follows only what runs.
async fn wait_started(containers: &Containers, id: &ContainerId) -> Result<bool, ExecutorError> {
    let mut watch = containers.watch(id.as_str()).map_err(super::failed)?;
    let mut waited = false;
    // A start that failed is no start, and nothing comes of it.
    watch
        .until(|state| {
            let begun = state.started_at.is_some() || !state.error.is_empty();
            waited |= !begun;
            begun
        })
        .await;
    Ok(waited)
}

/// Sends a container's lines until there are no more or nobody listens; a follower waits for
/// the start first.
pub(super) async fn send(
    containers: &Containers,
    id: &ContainerId,
    options: &LogOptions,
    sink: &mut (impl LogSink + Send),
) -> Result<(), ExecutorError> {
    let all_is_new = options.follow && wait_started(containers, id).await?;
    let wanted = EngineOptions {
        streams: LogStreams { stdout: options.stdout, stderr: options.stderr },
        follow: options.follow,
        tail: if all_is_new { None } else { tail(containers, id, options).await? },
        since: options.since,
        until: None,
    };
    let mut log = containers.logs(id.as_str(), wanted).await.map_err(super::failed)?;
    while let Some(entry) = log.next().await {
        let line = LogLine {
            timestamp: entry.time,
            stream: match entry.stream {
                OutputStream::Stdout => LogStream::Stdout,
                OutputStream::Stderr => LogStream::Stderr,
            },
            data: entry.data.to_vec(),
        };
        if sink.send(line).await.is_err() {
            break;
        }
    }
    Ok(())
}
