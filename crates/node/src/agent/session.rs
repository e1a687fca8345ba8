//! The talk with a manager: opened again whenever it ends, with growing pauses.
//!
//! One session is one place: the stream of sessions, heartbeats, assignments, reports and log
//! questions live and die together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use shoal_cluster::Rng;
use shoal_cluster::agent::Executor;
use shoal_cluster::dispatch::{
    Assignable, AssignableId, AssignmentChange, AssignmentKind, Assignments,
};
use shoal_model::TaskId;
use shoal_model::swarm::{NodeDescription, TlsDescription};
use tonic::Status;
use tonic::transport::Channel;

use super::publisher::Publisher;
use super::renewal::expired;
use super::unreachable::failed;
use super::worker::{Incoming, Worker};
use super::{Agent, Contact};
use crate::api::ManagerPeer;
use crate::convert;
use crate::pki::random;
use crate::tls::{Stage, channel};
use crate::wire;
use crate::wire::dispatcher_client::DispatcherClient;

/// Largest message from a manager: a complete set is one message, whatever its size.
const MAX_FROM_MANAGER: usize = usize::MAX;
/// The period if a manager forgets to say one.
const FALLBACK_PERIOD: Duration = Duration::from_secs(5);

/// Why a session ended.
enum Ended {
    /// A call to the manager, or the road to it.
    Peer(Status),
    /// The manager's silence, or what it ended.
    Manager(&'static str),
    /// Something here.
    Here(String),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Peer(status)
    }
}

impl Ended {
    /// For `docker info`; names the manager that was talked to.
    fn text(&self, addr: &str) -> String {
        match self {
            Self::Peer(status) => failed(addr, status).to_string(),
            Self::Manager(text) => format!("manager {addr}: {text}"),
            Self::Here(text) => text.clone(),
        }
    }
}

/// Keeps a session open until the agent is stopped.
pub(super) async fn keep_open<E: Executor>(agent: &Agent, worker: &Arc<Worker<E>>) {
    let mut rng = Rng::from_seed(random().map_or(0, u64::from_le_bytes));
    let mut pause = agent.timers.backoff_min;
    let mut reached_before = false;
    loop {
        let mut connected = false;
        let why = tokio::select! {
            () = agent.stop.cancelled() => return,
            why = session(agent, worker, &mut rng, &mut connected) => why,
        };
        tracing::debug!(why, "session ended");
        reached_before |= connected;
        agent.contact.send_replace(Contact::Lost { why, reached_before });
        if connected {
            pause = agent.timers.backoff_min;
        }
        // Up to as much again, so that a cluster's nodes do not come back in step.
        let jitter = pause.mul_f64(rng.fraction());
        tokio::select! {
            () = agent.stop.cancelled() => return,
            () = tokio::time::sleep(pause + jitter) => {}
        }
        pause = (pause * 2).min(agent.timers.backoff_max);
    }
}

/// One session, from its first call to whatever ends it; gives why it ended.
async fn session<E: Executor>(
    agent: &Agent,
    worker: &Arc<Worker<E>>,
    rng: &mut Rng,
    connected: &mut bool,
) -> String {
    if let Some(why) = expired(agent) {
        return why;
    }
    let Some(addr) = agent.managers.pick(rng) else {
        return "no manager is known".to_owned();
    };
    let stage = Stage::Member(Arc::clone(&agent.credentials));
    let channel = channel(&addr, stage, agent.timers.rpc_timeout);
    let ended = match open(agent, worker, channel.clone()).await {
        Err(ended) => ended,
        Ok((session, messages)) => {
            *connected = true;
            agent.contact.send_replace(Contact::Connected);
            tracing::debug!(addr, session = session.id, "session open");
            talk(agent, worker, channel, session, messages).await
        }
    };
    if let Ended::Peer(status) = &ended {
        tracing::debug!(addr, ?status, "a call to the manager failed");
    }
    ended.text(&addr)
}

struct Session {
    id: String,
    client: DispatcherClient<Channel>,
}

/// Registers; the first message must come soon.
async fn open<E: Executor>(
    agent: &Agent,
    worker: &Arc<Worker<E>>,
    channel: Channel,
) -> Result<(Session, tonic::Streaming<wire::SessionMessage>), Ended> {
    let description = describe(agent, worker).await?;
    let mut client = DispatcherClient::new(channel).max_decoding_message_size(MAX_FROM_MANAGER);
    let request = wire::SessionRequest {
        description: Some(convert::description_to_wire(&description)),
        session_id: String::new(),
    };
    let opening = async {
        let mut messages = client.session(request).await?.into_inner();
        let first = messages.message().await?;
        Ok::<_, Status>((messages, first))
    };
    let opened = tokio::time::timeout(agent.timers.rpc_timeout, opening).await;
    let (messages, first) = opened.map_err(|_| Ended::Manager("no answer in time"))??;
    let first = first.ok_or_else(|| Ended::Manager("the session ended at once"))?;
    let id = first.session_id.clone();
    listen_to(agent, first).await;
    Ok((Session { id, client }, messages))
}

async fn describe<E: Executor>(
    agent: &Agent,
    worker: &Arc<Worker<E>>,
) -> Result<NodeDescription, Ended> {
    let mut description =
        worker.holding.executor.describe().await.map_err(|error| {
            Ended::Here(format!("the engine does not describe itself: {error}"))
        })?;
    let issuer = agent.credentials.current().root.issuer_info();
    let issuer = issuer.map_err(|error| Ended::Here(error.to_string()))?;
    description.tls = TlsDescription {
        trust_root: issuer.trust_root,
        issuer_subject: issuer.subject,
        issuer_public_key: issuer.public_key,
    };
    Ok(description)
}

async fn talk<E: Executor>(
    agent: &Agent,
    worker: &Arc<Worker<E>>,
    channel: Channel,
    session: Session,
    mut messages: tonic::Streaming<wire::SessionMessage>,
) -> Ended {
    worker.holding.report_all();
    let node_id = agent.credentials.current().identity.name().node.clone();
    let publisher = Publisher::new(Arc::clone(&worker.holding), channel, node_id);
    let sessions = async {
        loop {
            match messages.message().await {
                Ok(Some(message)) => listen_to(agent, message).await,
                Ok(None) => return Ended::Manager("it ended the session"),
                Err(status) => return Ended::Peer(status),
            }
        }
    };
    tokio::select! {
        ended = sessions => ended,
        ended = beat(agent, &session) => ended,
        ended = take_assignments(worker, &session) => ended,
        ended = tell(agent, worker, &session) => ended,
        ended = publish(publisher) => ended,
    }
}

/// What a manager says about the cluster and this node.
async fn listen_to(agent: &Agent, message: wire::SessionMessage) {
    let wire::SessionMessage { session_id: _, node, managers, network_bootstrap_keys: _, root_ca } =
        message;
    let peers = managers.into_iter().filter_map(|weighted| weighted.peer);
    let peers = peers.map(|wire::Peer { node_id, addr }| ManagerPeer { node_id, addr });
    agent.managers.replace(peers.collect()).await;
    if !root_ca.is_empty() && root_ca != agent.credentials.current().root.pem() {
        tracing::warn!("the cluster's root certificate changed; following it is not implemented");
    }
    let Some(node) = node else { return };
    let desired = node.spec.unwrap_or_default().desired_role;
    let worker =
        agent.credentials.current().identity.name().role == shoal_model::swarm::NodeRole::Worker;
    if worker && desired == wire::NodeRole::Manager as i32 {
        tracing::warn!(
            "this node was promoted to manager, which is not implemented; it stays a worker"
        );
        return;
    }
    let state = node.certificate.and_then(|certificate| certificate.status).unwrap_or_default();
    if state.state == wire::IssuanceState::Rotate as i32 {
        agent.renew.notify_one();
    }
}

/// Shows the manager that this node is alive, as often as it wants.
async fn beat(agent: &Agent, session: &Session) -> Ended {
    let mut client = session.client.clone();
    loop {
        let request = wire::HeartbeatRequest { session_id: session.id.clone() };
        let beat = tokio::time::timeout(agent.timers.rpc_timeout, client.heartbeat(request)).await;
        let period = match beat {
            Err(_) => return Ended::Manager("no answer to a heartbeat"),
            Ok(Err(status)) => return Ended::Peer(status),
            Ok(Ok(answer)) => answer.into_inner().period,
        };
        let period = period.map_or(FALLBACK_PERIOD, convert::duration_from_wire);
        let period = if period.is_zero() { FALLBACK_PERIOD } else { period };
        tokio::time::sleep(period).await;
    }
}

/// Takes what this node is to run.
async fn take_assignments<E: Executor>(worker: &Arc<Worker<E>>, session: &Session) -> Ended {
    let mut client = session.client.clone();
    loop {
        let request = wire::AssignmentsRequest { session_id: session.id.clone() };
        let mut messages = match client.assignments(request).await {
            Ok(messages) => messages.into_inner(),
            Err(status) => return Ended::Peer(status),
        };
        let mut first = true;
        loop {
            let message = match messages.try_next().await {
                Ok(Some(message)) => message,
                Ok(None) => return Ended::Manager("it ended the assignments"),
                Err(status) => return Ended::Peer(status),
            };
            if !worker.take(assignments_from_wire(message)) {
                // One was lost: a new stream begins with everything.
                break;
            }
            if std::mem::take(&mut first) {
                worker.sweep().await;
            }
        }
    }
}

/// Tells the manager what became of the tasks, many in one call.
async fn tell<E: Executor>(agent: &Agent, worker: &Arc<Worker<E>>, session: &Session) -> Ended {
    let mut client = session.client.clone();
    loop {
        worker.holding.reporter.more().await;
        tokio::time::sleep(agent.timers.report_window).await;
        let news = worker.holding.reporter.take();
        let updates = news.iter().map(|(id, status)| wire::TaskStatusUpdate {
            task_id: id.to_string(),
            status: Some(convert::status_to_wire(status)),
        });
        let request = wire::UpdateTaskStatusRequest {
            session_id: session.id.clone(),
            updates: updates.collect(),
        };
        let call = client.update_task_status(request);
        let ended = match tokio::time::timeout(agent.timers.rpc_timeout, call).await {
            Ok(Ok(_)) => continue,
            Ok(Err(status)) => Ended::Peer(status),
            Err(_) => Ended::Manager("no answer to a report"),
        };
        worker.holding.reporter.put_back(news);
        return ended;
    }
}

/// Answers questions for logs. A manager that has no log broker costs only that.
async fn publish<E: Executor>(publisher: Publisher<E>) -> Ended {
    match publisher.run().await {
        Ok(()) => Ended::Manager("it ended the log subscriptions"),
        Err(status) if status.code() == tonic::Code::Unimplemented => std::future::pending().await,
        Err(status) => Ended::Peer(status),
    }
}

/// A message from the manager in the domain's words. What makes no sense is refused by itself:
/// one task nobody here can run must not hold up the others.
fn assignments_from_wire(message: wire::AssignmentsMessage) -> Incoming {
    let wire::AssignmentsMessage { r#type, applies_to, results_in, changes } = message;
    let kind = match wire::AssignmentsType::try_from(r#type) {
        Ok(wire::AssignmentsType::Incremental) => AssignmentKind::Incremental,
        Ok(wire::AssignmentsType::Complete) | Err(_) => AssignmentKind::Complete,
    };
    let mut refused = Vec::new();
    let changes =
        changes.into_iter().filter_map(|change| change_from_wire(change, &mut refused)).collect();
    Incoming { message: Assignments { kind, applies_to, results_in, changes }, refused }
}

fn change_from_wire(
    change: wire::AssignmentChange,
    refused: &mut Vec<(TaskId, String)>,
) -> Option<AssignmentChange> {
    use wire::assignment::Item;
    let wire::AssignmentChange { assignment, action } = change;
    let item = assignment?.item?;
    let remove = action == wire::AssignmentAction::Remove as i32;
    match item {
        Item::Task(task) if remove => {
            task.id.parse().ok().map(|id| AssignmentChange::Remove(AssignableId::Task(id)))
        }
        Item::Secret(secret) if remove => {
            secret.id.parse().ok().map(|id| AssignmentChange::Remove(AssignableId::Secret(id)))
        }
        Item::Config(config) if remove => {
            config.id.parse().ok().map(|id| AssignmentChange::Remove(AssignableId::Config(id)))
        }
        Item::Task(task) => {
            let id = task.id.parse::<TaskId>().ok()?;
            match convert::task_from_wire(*task) {
                Ok(task) => Some(AssignmentChange::Update(Assignable::Task(Arc::new(task)))),
                Err(error) => {
                    refused.push((id, error.to_string()));
                    None
                }
            }
        }
        // A task that needs what could not be read is refused when it is prepared.
        Item::Secret(secret) => convert::secret_from_wire(secret)
            .inspect_err(|error| tracing::info!(%error, "secret refused"))
            .ok()
            .map(|secret| AssignmentChange::Update(Assignable::Secret(Arc::new(secret)))),
        Item::Config(config) => convert::config_from_wire(config)
            .inspect_err(|error| tracing::info!(%error, "config refused"))
            .ok()
            .map(|config| AssignmentChange::Update(Assignable::Config(Arc::new(config)))),
        Item::Volume(_) => None,
    }
}
