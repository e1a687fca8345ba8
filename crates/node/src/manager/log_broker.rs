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
use std::time::Duration;

use futures_util::Stream;
use shoal_cluster::Store;
use shoal_model::swarm::{NodeState, Task};
use shoal_model::{SwarmNodeId, Timestamp};
use tokio::sync::mpsc;

use crate::api::{LogLine, LogOptions, LogSelector};
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
/// Reasons for missing lines kept for one reader: a follower may stay for weeks, and nodes may
/// come and go meanwhile. More would tell nobody more.
const MAX_GAPS: usize = 100;

/// All subscriptions, and the nodes that listen for them.
pub(crate) struct LogBroker {
    shared: Arc<Mutex<Shared>>,
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
    /// The newest line that was handed on from each node.
    heard: HashMap<SwarmNodeId, Heard>,
    /// Why something is missing from the answer; each reason once, [`MAX_GAPS`] at most.
    gaps: Vec<String>,
}

/// The time of the newest line that was handed on.
type Heard = Arc<Mutex<Option<Timestamp>>>;

/// Where a node's lines for a subscription go.
pub(super) struct Reader {
    lines: mpsc::Sender<Result<LogLine, NodeError>>,
    heard: Heard,
}

impl Reader {
    /// Hands a line on, as soon as it is taken; `false` when nobody reads any more.
    pub(super) async fn send(&self, line: LogLine) -> bool {
        let timestamp = line.timestamp;
        let sent = self.lines.send(Ok(line)).await.is_ok();
        if sent {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            *heard = timestamp.max(*heard);
        }
        sent
    }
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

/// A node's side of [`LogBroker::listen`].
pub(super) struct Listening {
    questions: mpsc::Receiver<wire::SubscriptionMessage>,
    node: SwarmNodeId,
    number: u64,
    shared: Arc<Mutex<Shared>>,
}

impl Listening {
    /// The next question.
    pub(super) async fn next(&mut self) -> Option<wire::SubscriptionMessage> {
        self.questions.recv().await
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        lock(&self.shared).listener_gone(&self.node, self.number);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogBroker {
    pub(super) fn new() -> Self {
        Self { shared: Arc::default() }
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
            heard: HashMap::new(),
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

    /// A node listens: the queue of its questions, what is open already included. One that comes
    /// back is asked for what it has not said yet.
    pub(super) fn listen(&self, view: &Store, node: &SwarmNodeId) -> Listening {
        let mut shared = lock(&self.shared);
        shared.next += 1;
        let number = shared.next;
        let (sender, questions) = mpsc::channel(QUESTIONS);
        let listener = Listener { number, questions: sender };
        if shared.listeners.insert(node.clone(), listener).is_some() {
            shared.give_up_waiting(node);
        }
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

    /// Where a node's lines for a subscription go; `None` if nobody reads them any more, or the
    /// node was never asked.
    pub(super) fn reader(&self, id: &str, node: &SwarmNodeId) -> Option<Reader> {
        let mut shared = lock(&self.shared);
        let subscription = shared.subscriptions.get_mut(id)?;
        if !subscription.asked.contains(node) {
            return None;
        }
        let heard = Arc::clone(subscription.heard.entry(node.clone()).or_default());
        Some(Reader { lines: subscription.lines.clone(), heard })
    }

    /// A node is done with a subscription; `gap` says why not everything came.
    pub(super) fn node_done(&self, id: &str, node: &SwarmNodeId, gap: Option<String>) {
        lock(&self.shared).node_done(id, node, gap);
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

    /// The question for a node: all of it, or what follows the newest line that came from there.
    fn question_for(&self, node: &SwarmNodeId) -> wire::SubscriptionMessage {
        let mut message = self.message.clone();
        let heard = self.heard.get(node);
        let heard = heard.and_then(|heard| *heard.lock().unwrap_or_else(PoisonError::into_inner));
        if let (Some(options), Some(heard)) = (&mut message.options, heard) {
            options.tail = 0;
            options.since = Some(convert::timestamp_to_wire(heard + Duration::from_nanos(1)));
        }
        message
    }

    /// Notes why something is missing.
    fn lack(&mut self, gap: String) {
        if self.gaps.len() < MAX_GAPS && !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
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
                listener.questions.try_send(subscription.question_for(node)).is_ok()
            }
            _ => false,
        };
        if sent {
            subscription.asked.insert(node.clone());
            subscription.pending.insert(node.clone());
        } else {
            subscription.lack(format!("node {node} is not available"));
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
            if let Some(gap) = gap {
                subscription.lack(gap);
            }
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
        if self.listeners.get(node).is_none_or(|listener| listener.number != number) {
            return;
        }
        self.listeners.remove(node);
        self.give_up_waiting(node);
    }

    /// A node lost the questions it was asked.
    fn give_up_waiting(&mut self, node: &SwarmNodeId) {
        // A follower waits for the node to come back; who wants what is there would wait for ever.
        let waiting: Vec<String> = self
            .subscriptions
            .iter()
            .filter(|(_, one)| !one.follows() && one.pending.contains(node))
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            self.node_done(&id, node, Some(format!("node {node} disconnected unexpectedly")));
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
            since: since.map(convert::timestamp_to_wire),
        }),
        close: false,
    }
}
