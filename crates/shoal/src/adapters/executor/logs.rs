//! The output of tasks, handed to the swarm's log broker.

use shoal_cluster::agent::{ExecutorError, LogLine, LogOptions, LogSink, LogStream, LogTail};
use shoal_engine::domain::{LogOptions as EngineOptions, LogStreams};
use shoal_engine::{Containers, OutputStream};
use shoal_model::ContainerId;

/// Sends a container's lines until there are no more or nobody listens.
pub(super) async fn send(
    containers: &Containers,
    id: &ContainerId,
    options: &LogOptions,
    sink: &mut (impl LogSink + Send),
) -> Result<(), ExecutorError> {
    let wanted = EngineOptions {
        streams: LogStreams { stdout: options.stdout, stderr: options.stderr },
        follow: options.follow,
        tail: match options.tail {
            LogTail::All => None,
            LogTail::Last(lines) => Some(usize::try_from(lines).unwrap_or(usize::MAX)),
        },
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
