//! Logs of tasks: carries a question to the nodes that run them and their lines back.
//!
//! ```text
//! subscribe ──▶ subscription ──▶ ListenSubscriptions of each node ──▶ its agent
//!     ▲                                                                   │
//!     └───────── bounded queue ◀── PublishLogs of each node ◀─────────────┘
//! ```
//!
//! Nothing is stored: a slow reader slows the nodes down, a vanished one ends the subscription
//! everywhere.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::{BoxStream, unfold};
use shoal_cluster::Store;
use shoal_model::SwarmNodeId;
use shoal_model::swarm::{NodeState, Task};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::Lead;
use super::gate::caller;
use crate::api::{LogLine, LogOptions, LogSelector, LogSource};
use crate::convert;
use crate::error::NodeError;
use crate::wire;

/// Lines on their way to one reader: enough to keep the network busy, little enough to stop the
/// nodes when the reader stops.
const LINES: usize = 1024;
/// Questions waiting for one node.
const QUESTIONS: usize = 256;
/// Subscriptions open at once; each is somebody's `logs` command.
const MAX_SUBSCRIPTIONS: usize = 1024;

/// All subscriptions, and the nodes that listen for them.
pub(crate) struct LogBroker {
    shared: Arc<Mutex<Shared>>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Shared {
    next: u64,
    subscriptions: HashMap<String, Subscription>,
    listeners: HashMap<SwarmNodeId, Listener>,
}

struct Listener {
    number: u64,
    questions: mpsc::Sender<wire::SubscriptionMessage>,
}

struct Subscription {
    selector: LogSelector,
    message: wire::SubscriptionMessage,
    lines: mpsc::Sender<Result<LogLine, NodeError>>,
    /// Nodes that were asked.
    asked: HashSet<SwarmNodeId>,
    /// Nodes that were asked and are not done.
    pending: HashSet<SwarmNodeId>,
    /// Why something is missing from the answer.
    gaps: Vec<String>,
}

/// The lines of a subscription; dropping it ends the subscription on all nodes.
pub struct LogStream {
    lines: mpsc::Receiver<Result<LogLine, NodeError>>,
    id: String,
    shared: Weak<Mutex<Shared>>,
}

impl Stream for LogStream {
    type Item = Result<LogLine, NodeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.poll_recv(context)
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            lock(&shared).end(&self.id);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogBroker {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { shared: Arc::default(), stop }
    }

    /// Asks all nodes concerned.
    pub(crate) fn subscribe(
        &self,
        view: &Store,
        selector: LogSelector,
        options: &LogOptions,
    ) -> Result<LogStream, NodeError> {
        let nodes = concerned(view, &selector);
        let mut shared = lock(&self.shared);
        if shared.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(NodeError::Busy("log subscriptions"));
        }
        shared.next += 1;
        let id = format!("logs-{}", shared.next);
        let (sender, lines) = mpsc::channel(LINES);
        let subscription = Subscription {
            message: question(&id, &selector, options),
            selector,
            lines: sender,
            asked: HashSet::new(),
            pending: HashSet::new(),
            gaps: Vec::new(),
        };
        shared.subscriptions.insert(id.clone(), subscription);
        for node in nodes {
            let down = view.node(&node).is_none_or(|node| node.status.state == NodeState::Down);
            shared.ask(&id, &node, down);
        }
        shared.finish_if_done(&id);
        Ok(LogStream { lines, id, shared: Arc::downgrade(&self.shared) })
    }

    /// A task appeared on a node: whoever follows its service wants its lines, too.
    pub(super) fn task_changed(&self, task: &Task) {
        let Some(node) = &task.node_id else { return };
        let mut shared = lock(&self.shared);
        let wanting: Vec<String> = shared
            .subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.follows() && subscription.wants(task))
            .map(|(id, _)| id.clone())
            .collect();
        for id in wanting {
            shared.ask_newcomer(&id, node);
        }
    }

    /// A node listens: the queue of its questions, what is open already included.
    fn listen(&self, view: &Store, node: &SwarmNodeId) -> Listening {
        let mut shared = lock(&self.shared);
        shared.next += 1;
        let number = shared.next;
        let (sender, questions) = mpsc::channel(QUESTIONS);
        shared.listeners.insert(node.clone(), Listener { number, questions: sender });
        let open: Vec<String> = shared
            .subscriptions
            .iter()
            .filter(|(_, one)| one.follows() && concerned(view, &one.selector).contains(node))
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            if let Some(subscription) = shared.subscriptions.get_mut(&id) {
                subscription.asked.remove(node);
            }
            shared.ask(&id, node, false);
        }
        Listening { questions, node: node.clone(), number, shared: Arc::clone(&self.shared) }
    }
}

impl Subscription {
    fn follows(&self) -> bool {
        self.message.options.as_ref().is_some_and(|options| options.follow)
    }

    fn wants(&self, task: &Task) -> bool {
        self.selector.services.contains(&task.service_id)
            || self.selector.tasks.contains(&task.id)
            || task.node_id.as_ref().is_some_and(|node| self.selector.nodes.contains(node))
    }

    /// Whether nobody will add to it: all that were asked are done, and nobody new can come.
    fn is_done(&self) -> bool {
        let open_ended = !self.selector.services.is_empty() || !self.selector.nodes.is_empty();
        self.pending.is_empty() && !(self.follows() && open_ended)
    }
}

impl Shared {
    fn ask(&mut self, id: &str, node: &SwarmNodeId, down: bool) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        if subscription.asked.contains(node) {
            return;
        }
        let sent = match self.listeners.get(node) {
            Some(listener) if !down => {
                listener.questions.try_send(subscription.message.clone()).is_ok()
            }
            _ => false,
        };
        if sent {
            subscription.asked.insert(node.clone());
            subscription.pending.insert(node.clone());
        } else {
            subscription.gaps.push(format!("node {node} is not available"));
        }
    }

    /// Asks a node that had nothing to say so far: every line it has is new.
    fn ask_newcomer(&mut self, id: &str, node: &SwarmNodeId) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        if let Some(options) = &mut subscription.message.options {
            options.tail = 0;
        }
        self.ask(id, node, false);
    }

    /// A node is done with a subscription; `gap` says why not everything came.
    fn node_done(&mut self, id: &str, node: &SwarmNodeId, gap: Option<String>) {
        if let Some(subscription) = self.subscriptions.get_mut(id)
            && subscription.pending.remove(node)
        {
            subscription.gaps.extend(gap);
            self.finish_if_done(id);
        }
    }

    fn finish_if_done(&mut self, id: &str) {
        if !self.subscriptions.get(id).is_some_and(Subscription::is_done) {
            return;
        }
        if let Some(subscription) = self.subscriptions.remove(id)
            && !subscription.gaps.is_empty()
        {
            // A full queue means that the reader has more urgent news.
            let gaps = NodeError::LogGaps(subscription.gaps.join(", "));
            let _ = subscription.lines.try_send(Err(gaps));
        }
    }

    /// Nobody reads any more.
    fn end(&mut self, id: &str) {
        let Some(subscription) = self.subscriptions.remove(id) else { return };
        let close = wire::SubscriptionMessage { close: true, ..subscription.message };
        for node in subscription.pending {
            if let Some(listener) = self.listeners.get(&node) {
                // A node that misses it finds out when it publishes the next line.
                let _ = listener.questions.try_send(close.clone());
            }
        }
    }

    fn listener_gone(&mut self, node: &SwarmNodeId, number: u64) {
        if self.listeners.get(node).is_some_and(|listener| listener.number == number) {
            self.listeners.remove(node);
        }
    }
}

/// The nodes that have tasks the selector means.
fn concerned(view: &Store, selector: &LogSelector) -> HashSet<SwarmNodeId> {
    let LogSelector { services, nodes, tasks } = selector;
    let of_services = services.iter().flat_map(|service| view.tasks_of_service(service));
    let of_tasks = tasks.iter().filter_map(|task| view.task(task));
    let with_tasks = nodes.iter().filter(|node| view.tasks_of_node(node).next().is_some()).cloned();
    of_services.chain(of_tasks).filter_map(|task| task.node_id.clone()).chain(with_tasks).collect()
}

fn question(id: &str, selector: &LogSelector, options: &LogOptions) -> wire::SubscriptionMessage {
    let LogSelector { services, nodes, tasks } = selector;
    let LogOptions { stdout, stderr, follow, tail, since } = options;
    let wanted = [(*stdout, wire::LogStream::Stdout), (*stderr, wire::LogStream::Stderr)];
    let streams = wanted.iter().filter(|(wanted, _)| *wanted).map(|(_, stream)| *stream as i32);
    let tail = match tail {
        None => 0,
        Some(lines) => {
            i64::try_from(*lines).unwrap_or(i64::MAX - 1).saturating_add(1).wrapping_neg()
        }
    };
    wire::SubscriptionMessage {
        id: id.to_owned(),
        selector: Some(wire::LogSelector {
            service_ids: services.iter().map(ToString::to_string).collect(),
            node_ids: nodes.iter().map(ToString::to_string).collect(),
            task_ids: tasks.iter().map(ToString::to_string).collect(),
        }),
        options: Some(wire::LogSubscriptionOptions {
            streams: streams.collect(),
            follow: *follow,
            tail,
            since: since.map(convert::time_to_wire),
        }),
        close: false,
    }
}

/// A node's side of [`LogBroker::listen`].
struct Listening {
    questions: mpsc::Receiver<wire::SubscriptionMessage>,
    node: SwarmNodeId,
    number: u64,
    shared: Arc<Mutex<Shared>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        lock(&self.shared).listener_gone(&self.node, self.number);
    }
}

/// The nodes' door to the broker.
pub(super) struct Service(pub(super) Arc<Lead>);

#[tonic::async_trait]
impl wire::log_broker_server::LogBroker for Service {
    type ListenSubscriptionsStream = BoxStream<'static, Result<wire::SubscriptionMessage, Status>>;

    async fn listen_subscriptions(
        &self,
        request: Request<wire::ListenSubscriptionsRequest>,
    ) -> Result<Response<Self::ListenSubscriptionsStream>, Status> {
        let node = caller(&request)?;
        let listening = self.0.broker.listen(&self.0.consensus.local(), &node);
        let stop = self.0.stop.clone();
        let stream = unfold((listening, stop), |(mut listening, stop)| async move {
            tokio::select! {
                () = stop.cancelled() => None,
                question = listening.questions.recv() => {
                    question.map(|question| (Ok(question), (listening, stop)))
                }
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn publish_logs(
        &self,
        request: Request<Streaming<wire::PublishLogsMessage>>,
    ) -> Result<Response<wire::PublishLogsResponse>, Status> {
        let node = caller(&request)?;
        let mut messages = request.into_inner();
        let mut current: Option<String> = None;
        let outcome = loop {
            let message = tokio::select! {
                () = self.0.broker.stop.cancelled() => break Err(Status::aborted("stopping")),
                message = messages.message() => message,
            };
            match message {
                Ok(Some(message)) => {
                    let closing = message.close;
                    current = Some(message.subscription_id.clone());
                    if let Err(status) = self.take(&node, message).await {
                        break Err(status);
                    }
                    if closing {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        if let Some(id) = current {
            let gap =
                outcome.as_ref().err().map(|_| format!("node {node} disconnected unexpectedly"));
            lock(&self.0.broker.shared).node_done(&id, &node, gap);
        }
        outcome.map(|()| Response::new(wire::PublishLogsResponse {}))
    }
}

impl Service {
    /// Hands lines to the reader, as fast as it takes them.
    async fn take(
        &self,
        node: &SwarmNodeId,
        message: wire::PublishLogsMessage,
    ) -> Result<(), Status> {
        let wire::PublishLogsMessage { subscription_id, messages, close: _ } = message;
        let lines = {
            let shared = lock(&self.0.broker.shared);
            let subscription = shared.subscriptions.get(&subscription_id);
            subscription.filter(|one| one.asked.contains(node)).map(|one| one.lines.clone())
        };
        let Some(lines) = lines else {
            return Err(Status::not_found("unknown log subscription"));
        };
        for message in messages {
            let Some(line) = line_from_wire(node, message)? else { continue };
            if lines.send(Ok(line)).await.is_err() {
                return Err(Status::not_found("log subscription has ended"));
            }
        }
        Ok(())
    }
}

/// A line from a node, which may speak for itself only; `None` for a stream nobody knows.
fn line_from_wire(
    node: &SwarmNodeId,
    message: wire::LogMessage,
) -> Result<Option<LogLine>, Status> {
    let wire::LogMessage { context, timestamp, stream, data, attrs } = message;
    let wire::LogContext { service_id, node_id, task_id } = context.unwrap_or_default();
    if node_id != node.as_str() {
        return Err(Status::permission_denied("cannot publish logs of another node"));
    }
    let source = match wire::LogStream::try_from(stream) {
        Ok(wire::LogStream::Stdout) => LogSource::Stdout,
        Ok(wire::LogStream::Stderr) => LogSource::Stderr,
        Ok(wire::LogStream::Unknown) | Err(_) => return Ok(None),
    };
    let Ok(task_id) = task_id.parse() else { return Ok(None) };
    Ok(Some(LogLine {
        service_id: service_id.parse().ok(),
        node_id: node.clone(),
        task_id,
        timestamp: timestamp.map(convert::time_from_wire),
        source,
        data,
        attrs: attrs.into_iter().map(|wire::LogAttr { key, value }| (key, value)).collect(),
    }))
}
