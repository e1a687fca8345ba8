//! Connects clients to containers' processes.

use std::sync::Arc;

use shoal_model::Classify as _;
use shoal_runtime::protocol::{Operation, WindowSize};
use tokio::sync::{mpsc, oneshot};

use super::container::{Container, WaitingAttach};
use super::state::Phase;
use super::{Containers, not_running};
use crate::domain::{AttachOptions, LogOptions, LogStreams, TerminalSize};
use crate::error::ContainerError;
use crate::logs::LogStream;
use crate::shim::{Connection, Ends, Leaving, ShimError, is_late, pump};
use crate::stream::{
    Attached, CHANNEL_CHUNKS, DEFAULT_DETACH_KEYS, DetachKeys, Detached, Input, Output, OutputChunk,
};

impl Containers {
    /// Connects to a container's process; before its first start, too.
    ///
    /// # Errors
    /// There is no container of that name, or it is paused.
    pub async fn attach(
        &self,
        name: &str,
        options: AttachOptions,
    ) -> Result<Attached, ContainerError> {
        let container = self.table.find(name)?;
        let record = container.record();
        let phase = container.state.borrow().phase;
        if phase == Phase::Paused {
            return Err(ContainerError::Conflict(format!(
                "container {} is paused, unpause the container before attach",
                container.id
            )));
        }
        let logs = match options.logs {
            true => Some(self.past_output(&container, &options).await?),
            false => None,
        };
        let connection = match options.stream {
            true => Some(self.connect_stream(&container, &options).await?),
            false => None,
        };
        let (output_sender, output) = mpsc::channel(CHANNEL_CHUNKS);
        let (input_sender, input) = mpsc::channel(CHANNEL_CHUNKS);
        let wants_input = options.stdin && options.stream && record.config.open_stdin;
        let input = wants_input.then_some(input);
        let keys = detach_keys(options.detach_keys, record.config.tty);
        let ends = Ends { output: Some(output_sender), input };
        let input = wants_input.then(|| Input::new(input_sender, keys));
        let detached = input.as_ref().map(Input::detached).unwrap_or_default();
        self.spawn_attachment(&container, attachment(logs, connection, ends), detached);
        self.publish(&record, "attach", &[]);
        Ok(Attached { tty: record.config.tty, output: Output::new(output), input })
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// It does not run.
    pub async fn resize(&self, name: &str, size: TerminalSize) -> Result<(), ContainerError> {
        let container = self.table.find(name)?;
        if !container.state.borrow().phase.has_process() {
            return Err(not_running(&container.id));
        }
        self.ask(&container, Operation::Resize { exec: None, size: window(size) }).await?;
        let attributes = [("height", size.rows.to_string()), ("width", size.columns.to_string())];
        self.publish(&container.record(), "resize", &attributes);
        Ok(())
    }

    async fn past_output(
        &self,
        container: &Arc<Container>,
        options: &AttachOptions,
    ) -> Result<LogStream, ContainerError> {
        let streams = LogStreams { stdout: options.stdout, stderr: options.stderr };
        let wanted = LogOptions { streams, ..LogOptions::default() };
        self.logs(container.id.as_str(), wanted).await
    }

    /// The stream of a container that runs, now or after its next start.
    async fn connect_stream(
        &self,
        container: &Arc<Container>,
        options: &AttachOptions,
    ) -> Result<oneshot::Receiver<Connection>, ContainerError> {
        let AttachOptions { stdin, stdout, stderr, .. } = *options;
        let wants = Operation::Attach { stdin, stdout, stderr };
        let (sender, receiver) = oneshot::channel();
        container.add_waiting_attach(WaitingAttach { wants, connection: sender });
        // Whoever starts it serves the clients that wait before the program runs, and
        // once more when it runs; later ones are served here.
        if container.state.borrow().phase.has_process() {
            self.serve_waiting_attaches(container).await?;
        }
        Ok(receiver)
    }

    /// Connects the clients that wait to a container that runs.
    pub(super) async fn serve_waiting_attaches(
        &self,
        container: &Arc<Container>,
    ) -> Result<(), ContainerError> {
        let bundle = self.node.paths.bundle(&container.id);
        for attach in container.take_waiting_attaches() {
            match Connection::ask(&bundle, attach.wants).await {
                // A client that has gone meanwhile hangs up, that is all.
                Ok((stream, _)) => drop(attach.connection.send(stream)),
                // It has just ended, and so does the attachment.
                Err(error @ ShimError::Io(_)) if !is_late(&error) => {}
                Err(error) => return Err(ContainerError::shim(&container.id, error)),
            }
        }
        Ok(())
    }

    fn spawn_attachment(
        &self,
        container: &Arc<Container>,
        attachment: impl Future<Output = ()> + Send + 'static,
        detached: Detached,
    ) {
        let containers = self.clone();
        let container = container.clone();
        self.node.tasks.spawn(async move {
            let closing = &containers.node.tasks.closing;
            tokio::select! {
                () = attachment => {}
                () = closing.cancelled() => return,
            }
            // A client that just goes, or whose container ends, is not worth an event.
            if detached.get() {
                containers.publish(&container.record(), "detach", &[]);
            }
        });
    }
}

async fn attachment(
    logs: Option<LogStream>,
    connection: Option<oneshot::Receiver<Connection>>,
    ends: Ends,
) {
    if let (Some(mut logs), Some(output)) = (logs, &ends.output) {
        while let Some(entry) = logs.next().await {
            let chunk = OutputChunk { stream: entry.stream, data: entry.data };
            if output.send(chunk).await.is_err() {
                return;
            }
        }
    }
    let Some(connection) = connection else { return };
    let gone = {
        let output = ends.output.clone();
        async move {
            match output {
                Some(output) => output.closed().await,
                None => std::future::pending().await,
            }
        }
    };
    let stream = tokio::select! {
        stream = connection => stream,
        () = gone => return,
    };
    // No stream: the container was removed, or could not be started.
    let Ok(stream) = stream else { return };
    if let Err(error) = pump(stream, ends, Leaving::End).await {
        tracing::debug!(error = %error.chain(), "an attachment broke off");
    }
}

/// The keys to look for: those given, else ctrl-p ctrl-q at a terminal.
pub(crate) fn detach_keys(given: Option<Vec<u8>>, tty: bool) -> Option<DetachKeys> {
    match given {
        Some(keys) => DetachKeys::new(keys),
        None if tty => DetachKeys::new(DEFAULT_DETACH_KEYS.to_vec()),
        None => None,
    }
}

/// A terminal's size in the shim's words.
pub(crate) fn window(size: TerminalSize) -> WindowSize {
    WindowSize { rows: size.rows, columns: size.columns }
}
