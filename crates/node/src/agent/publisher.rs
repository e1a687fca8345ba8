//! Sends the logs of this node's tasks to whoever subscribed to them at the manager.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shoal_cluster::agent::{
    Executor, LogLine, LogOptions, LogSink, LogStream, LogTail, SinkClosed,
};
use shoal_model::TaskId;
use shoal_model::swarm::{Task, TaskState};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::holding::Holding;
use crate::config::MAX_MESSAGE_BYTES;
use crate::convert;
use crate::wire;
use crate::wire::log_broker_client::LogBrokerClient;

/// Lines of all tasks waiting to be packed.
const LINES: usize = 256;
/// Lines in one message at most.
const BATCH_LINES: usize = 128;
/// Messages waiting to be sent.
const MESSAGES: usize = 8;
/// How often a follower looks for tasks that have come since.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(250);

/// The subscriptions this node answers.
pub(super) struct Publisher<E> {
    holding: Arc<Holding<E>>,
    client: LogBrokerClient<Channel>,
    node_id: String,
    open: HashMap<String, CancellationToken>,
    jobs: JoinSet<()>,
}

impl<E: Executor> Publisher<E> {
    pub(super) fn new(holding: Arc<Holding<E>>, channel: Channel, node_id: String) -> Self {
        let client = LogBrokerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Self { holding, client, node_id, open: HashMap::new(), jobs: JoinSet::new() }
    }

    /// Listens for questions and answers them, until the stream of questions ends.
    pub(super) async fn run(mut self) -> Result<(), tonic::Status> {
        let request = wire::ListenSubscriptionsRequest {};
        let mut questions = self.client.listen_subscriptions(request).await?.into_inner();
        while let Some(question) = questions.message().await? {
            while self.jobs.try_join_next().is_some() {}
            self.open.retain(|_, job| !job.is_cancelled());
            self.take(question);
        }
        Ok(())
    }

    fn take(&mut self, question: wire::SubscriptionMessage) {
        let wire::SubscriptionMessage { id, selector, options, close } = question;
        if close {
            if let Some(job) = self.open.remove(&id) {
                job.cancel();
            }
            return;
        }
        let answer = Answer {
            holding: Arc::clone(&self.holding),
            id: id.clone(),
            node_id: self.node_id.clone(),
            selector: selector.unwrap_or_default(),
            options: options_from_wire(options.unwrap_or_default()),
        };
        let over = CancellationToken::new();
        self.open.insert(id, over.clone());
        let client = self.client.clone();
        self.jobs.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = answer.publish(client) => over.cancel(),
            }
        });
    }
}

/// One subscription's answer.
struct Answer<E> {
    holding: Arc<Holding<E>>,
    id: String,
    node_id: String,
    selector: wire::LogSelector,
    options: LogOptions,
}

impl<E: Executor> Answer<E> {
    async fn publish(self, mut client: LogBrokerClient<Channel>) {
        let (messages, stream) = mpsc::channel(MESSAGES);
        let sending = client.publish_logs(ReceiverStream::new(stream));
        let packing = self.pack(messages);
        tokio::pin!(packing, sending);
        // A follower may wait long for its next line: the manager's refusal ends it before.
        let sent = tokio::select! {
            sent = &mut sending => sent,
            () = &mut packing => sending.await,
        };
        match sent {
            Ok(_) => {}
            // A Docker manager ends the stream without an answer.
            Err(status) if status.message().contains("Missing response message") => {}
            Err(status) => {
                tracing::debug!(%status, subscription = self.id, "log subscription ended")
            }
        }
    }

    /// Packs lines into messages; the last one closes the subscription.
    async fn pack(&self, messages: mpsc::Sender<wire::PublishLogsMessage>) {
        let (lines, mut queue) = mpsc::channel(LINES);
        let packing = async {
            let mut batch = Vec::with_capacity(BATCH_LINES);
            while queue.recv_many(&mut batch, BATCH_LINES).await > 0 {
                let message = self.message(std::mem::take(&mut batch), false);
                if messages.send(message).await.is_err() {
                    // Dropping the queue tells the engine that nobody listens.
                    return;
                }
            }
            // The manager may be gone; then there is nobody to tell.
            let _ = messages.send(self.message(Vec::new(), true)).await;
        };
        // The packer ends when all readers have dropped their senders.
        tokio::join!(self.read(lines), packing);
    }

    fn message(&self, messages: Vec<wire::LogMessage>, close: bool) -> wire::PublishLogsMessage {
        wire::PublishLogsMessage { subscription_id: self.id.clone(), messages, close }
    }

    /// Reads the logs of all tasks that match; a follower goes on with those that come later.
    async fn read(&self, lines: mpsc::Sender<wire::LogMessage>) {
        let mut readers: JoinSet<()> = JoinSet::new();
        let mut seen: HashSet<TaskId> = HashSet::new();
        let mut options = self.options.clone();
        loop {
            while readers.try_join_next().is_some() {}
            let tasks = self.holding.tasks(|task| self.wants(task));
            forget_gone(&mut seen, &tasks);
            for task in &tasks {
                if !self.has_log(task) || !seen.insert(task.id.clone()) {
                    continue;
                }
                let sink = Sink { lines: lines.clone(), context: self.context(task) };
                let holding = Arc::clone(&self.holding);
                // Of a task that has ended nothing more comes, also if it never began.
                let follow = options.follow && !self.ended(task);
                let options = LogOptions { follow, ..options.clone() };
                readers.spawn(read_one(holding, task.id.clone(), options, sink));
            }
            if !self.goes_on(&tasks, &seen) {
                break;
            }
            // Of a task that begins later, every line is new.
            options.tail = LogTail::All;
            tokio::select! {
                () = lines.closed() => break,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        while readers.join_next().await.is_some() {}
    }

    /// Whether tasks may still come that the subscription wants.
    fn goes_on(&self, tasks: &[Arc<Task>], seen: &HashSet<TaskId>) -> bool {
        let open_ended =
            !self.selector.service_ids.is_empty() || !self.selector.node_ids.is_empty();
        let missing = tasks.iter().any(|task| !seen.contains(&task.id) && !self.ended(task));
        self.options.follow && (open_ended || missing)
    }

    fn wants(&self, task: &Task) -> bool {
        self.selector.service_ids.iter().any(|id| id == task.service_id.as_str())
            || self.selector.task_ids.iter().any(|id| id == task.id.as_str())
            || self.selector.node_ids.contains(&self.node_id)
    }

    /// Whether there is, or soon will be, something to read. A task that takes the place of
    /// another is ready long before it is started, and may never be.
    fn has_log(&self, task: &Task) -> bool {
        let state = self.holding.status(&task.id).map(|status| status.state);
        state.is_some_and(|state| state >= TaskState::Starting)
    }

    fn ended(&self, task: &Task) -> bool {
        self.holding.status(&task.id).is_none_or(|status| status.state.is_terminal())
    }

    fn context(&self, task: &Task) -> wire::LogContext {
        wire::LogContext {
            service_id: task.service_id.to_string(),
            node_id: self.node_id.clone(),
            task_id: task.id.to_string(),
        }
    }
}

/// Forgets the tasks this node no longer holds: a follower may stay for weeks.
fn forget_gone(seen: &mut HashSet<TaskId>, tasks: &[Arc<Task>]) {
    let held: HashSet<&TaskId> = tasks.iter().map(|task| &task.id).collect();
    seen.retain(|id| held.contains(id));
}

async fn read_one<E: Executor>(
    holding: Arc<Holding<E>>,
    id: TaskId,
    options: LogOptions,
    mut sink: Sink,
) {
    if let Err(error) = holding.executor.logs(&id, &options, &mut sink).await {
        tracing::debug!(task = %id, %error, "a task's log cannot be read");
    }
}

/// Where the engine puts a task's lines.
struct Sink {
    lines: mpsc::Sender<wire::LogMessage>,
    context: wire::LogContext,
}

impl LogSink for Sink {
    async fn send(&mut self, line: LogLine) -> Result<(), SinkClosed> {
        let LogLine { timestamp, stream, data } = line;
        let stream = match stream {
            LogStream::Stdout => wire::LogStream::Stdout,
            LogStream::Stderr => wire::LogStream::Stderr,
        };
        let message = wire::LogMessage {
            context: Some(self.context.clone()),
            timestamp: Some(convert::timestamp_to_wire(timestamp)),
            stream: stream as i32,
            data: data.into(),
            attrs: Vec::new(),
        };
        self.lines.send(message).await.map_err(|_| SinkClosed)
    }
}

fn options_from_wire(options: wire::LogSubscriptionOptions) -> LogOptions {
    let wire::LogSubscriptionOptions { streams, follow, tail, since } = options;
    let wants = |stream: wire::LogStream| streams.is_empty() || streams.contains(&(stream as i32));
    let tail = match tail {
        0 => LogTail::All,
        // −(n + 1) asks for the last n; a positive number is an error of the asker: all.
        negative if negative < 0 => LogTail::Last(negative.unsigned_abs() - 1),
        _ => LogTail::All,
    };
    LogOptions {
        stdout: wants(wire::LogStream::Stdout),
        stderr: wants(wire::LogStream::Stderr),
        follow,
        tail,
        since: since.map(convert::timestamp_from_wire),
    }
}
