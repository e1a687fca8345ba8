//! The workers' door: sessions, heartbeats, assignments, reports.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{BoxStream, unfold};
use shoal_cluster::dispatch::{
    Assignable, AssignableId, AssignmentChange, AssignmentKind, Assignments, DispatchError,
    NodeFeed, TaskReport,
};
use shoal_cluster::{Batch, Store};
use shoal_model::SwarmNodeId;
use tokio::sync::{oneshot, watch};
use tonic::{Request, Response, Status};

use super::gate::{caller, caller_addr};
use super::status::{not_leading, refusal};
use super::streams::NodeStreams;
use super::{Lead, reports::Report};
use crate::convert;
use crate::raft::Consensus;
use crate::wire;
use crate::wire::dispatcher_server::Dispatcher;

/// How workers weigh managers against each other; all are alike.
const WEIGHT: i64 = 10;

pub(super) struct Service(pub(super) Arc<Lead>);

#[tonic::async_trait]
impl Dispatcher for Service {
    type SessionStream = BoxStream<'static, Result<wire::SessionMessage, Status>>;
    type TasksStream = BoxStream<'static, Result<wire::TasksMessage, Status>>;
    type AssignmentsStream = BoxStream<'static, Result<wire::AssignmentsMessage, Status>>;

    async fn session(
        &self,
        request: Request<wire::SessionRequest>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let node = caller(&request)?;
        let addr = self.seen_addr(&node, caller_addr(&request));
        // An old session is never resumed: opening a new one costs the worker one complete set.
        let wire::SessionRequest { description, session_id: _ } = request.into_inner();
        let description = description.map(convert::description_from_wire);
        let lead = Arc::clone(&self.0);
        let session = {
            let view = lead.consensus.local();
            let now = lead.clock.steady();
            let mut rng = lead.rng();
            lead.sessions().register(&view, &node, description, &addr, now, &mut rng)
        };
        let session = session.map_err(|error| refusal(&error))?;
        lead.deadlines.notify_one();
        let id = session.id.to_string();
        let streams = lead.streams.register(node.clone(), id, &lead.stop);
        let batch = Batch::new(lead.clock.now(), session.changes);
        lead.consensus.propose(batch).await.map_err(|_| not_leading())?;
        tracing::debug!(%node, session = streams.session, "session opened");
        let marks = streams.node_marks();
        let state = SessionState { lead, node, streams, marks, last: None };
        Ok(Response::new(Box::pin(unfold(Some(state), next_session_message))))
    }

    async fn heartbeat(
        &self,
        request: Request<wire::HeartbeatRequest>,
    ) -> Result<Response<wire::HeartbeatResponse>, Status> {
        let node = caller(&request)?;
        let lead = &self.0;
        let period = {
            let view = lead.consensus.local();
            let now = lead.clock.steady();
            let mut rng = lead.rng();
            let session = &request.get_ref().session_id;
            lead.sessions().heartbeat(&view, &node, session, now, &mut rng)
        };
        let period = period.map_err(|error| refusal(&error))?;
        let period = Some(convert::duration_to_wire(period));
        Ok(Response::new(wire::HeartbeatResponse { period }))
    }

    async fn update_task_status(
        &self,
        request: Request<wire::UpdateTaskStatusRequest>,
    ) -> Result<Response<wire::UpdateTaskStatusResponse>, Status> {
        let node = caller(&request)?;
        let wire::UpdateTaskStatusRequest { session_id, updates } = request.into_inner();
        self.0.sessions().check(&node, &session_id).map_err(|error| refusal(&error))?;
        let reports = updates.into_iter().filter_map(report_from_wire).collect();
        let (done, answer) = oneshot::channel();
        let report = Report { node, reports, done };
        self.0.reports.send(report).await.map_err(|_| not_leading())?;
        answer.await.map_err(|_| not_leading())??;
        Ok(Response::new(wire::UpdateTaskStatusResponse {}))
    }

    async fn update_volume_status(
        &self,
        request: Request<wire::UpdateVolumeStatusRequest>,
    ) -> Result<Response<wire::UpdateVolumeStatusResponse>, Status> {
        caller(&request)?;
        Err(Status::unimplemented("cluster volumes are not implemented"))
    }

    async fn tasks(
        &self,
        request: Request<wire::TasksRequest>,
    ) -> Result<Response<Self::TasksStream>, Status> {
        caller(&request)?;
        Err(Status::unimplemented("deprecated: use Assignments"))
    }

    async fn assignments(
        &self,
        request: Request<wire::AssignmentsRequest>,
    ) -> Result<Response<Self::AssignmentsStream>, Status> {
        let node = caller(&request)?;
        let session = &request.get_ref().session_id;
        self.0.sessions().check(&node, session).map_err(|error| refusal(&error))?;
        let streams = self.0.streams.get(&node, session);
        let streams = streams.ok_or_else(|| refusal(&DispatchError::WrongSession))?;
        let mut marks = streams.task_marks();
        // The first message needs no mark.
        marks.mark_changed();
        let state = AssignmentsState {
            lead: Arc::clone(&self.0),
            feed: NodeFeed::new(node),
            streams,
            marks,
            queue: VecDeque::new(),
            first: true,
        };
        Ok(Response::new(Box::pin(unfold(Some(state), next_assignments))))
    }
}

impl Service {
    /// This manager's own worker comes over loopback, which says nothing to anybody else.
    fn seen_addr(&self, node: &SwarmNodeId, addr: String) -> String {
        if *node != self.0.node_id {
            return addr;
        }
        let advertised = self.0.advertise_addr.rsplit_once(':');
        advertised.map_or(addr, |(host, _)| host.trim_matches(['[', ']']).to_owned())
    }
}

/// A report without sense is dropped: repeating it would not help the worker.
fn report_from_wire(update: wire::TaskStatusUpdate) -> Option<TaskReport> {
    let wire::TaskStatusUpdate { task_id, status } = update;
    let task = task_id.parse().ok()?;
    match convert::status_from_wire(status?) {
        Ok(status) => Some(TaskReport { task, status }),
        Err(error) => {
            tracing::debug!(%error, task = task_id, "report without sense");
            None
        }
    }
}

struct SessionState {
    lead: Arc<Lead>,
    node: SwarmNodeId,
    streams: Arc<NodeStreams>,
    marks: watch::Receiver<u64>,
    last: Option<wire::SessionMessage>,
}

/// The first message at once, the next when it would say something new; an error ends the
/// stream.
async fn next_session_message(
    state: Option<SessionState>,
) -> Option<(Result<wire::SessionMessage, Status>, Option<SessionState>)> {
    let mut state = state?;
    loop {
        if state.last.is_some() {
            tokio::select! {
                () = state.streams.over.cancelled() => return Some((Err(not_leading()), None)),
                changed = state.marks.changed() => if changed.is_err() {
                    return Some((Err(not_leading()), None));
                },
            }
        }
        let view = state.lead.consensus.local();
        let Some(message) = session_message(&state, &view) else {
            let gone = DispatchError::UnknownNode(state.node.to_string());
            return Some((Err(refusal(&gone)), None));
        };
        if state.last.as_ref() != Some(&message) {
            state.last = Some(message.clone());
            return Some((Ok(message), Some(state)));
        }
    }
}

fn session_message(state: &SessionState, view: &Store) -> Option<wire::SessionMessage> {
    let node = view.node(&state.node)?;
    let managers = view.nodes().filter_map(|node| {
        let status = node.manager_status.as_ref()?;
        let peer = wire::Peer { node_id: node.id.to_string(), addr: status.addr.clone() };
        Some(wire::WeightedPeer { peer: Some(peer), weight: WEIGHT })
    });
    let mut about = convert::node_to_wire(node);
    // What the worker said itself, and what changes all the time, is no news to it.
    about.description = None;
    about.status = None;
    about.meta = None;
    Some(wire::SessionMessage {
        session_id: state.streams.session.clone(),
        node: Some(about),
        managers: managers.collect(),
        network_bootstrap_keys: Vec::new(),
        root_ca: state.lead.credentials.current().root.pem().to_vec(),
    })
}

struct AssignmentsState {
    lead: Arc<Lead>,
    feed: NodeFeed,
    streams: Arc<NodeStreams>,
    marks: watch::Receiver<u64>,
    queue: VecDeque<Assignments>,
    first: bool,
}

/// Waits for a mark, then a moment for more of them, then looks at what the node lacks.
async fn next_assignments(
    state: Option<AssignmentsState>,
) -> Option<(Result<wire::AssignmentsMessage, Status>, Option<AssignmentsState>)> {
    let mut state = state?;
    loop {
        if let Some(message) = state.queue.pop_front() {
            return Some((Ok(assignments_to_wire(message)), Some(state)));
        }
        tokio::select! {
            () = state.streams.over.cancelled() => return Some((Err(not_leading()), None)),
            changed = state.marks.changed() => if changed.is_err() {
                return Some((Err(not_leading()), None));
            },
        }
        if !std::mem::take(&mut state.first) {
            tokio::time::sleep(state.lead.timers.assignment_window).await;
        }
        state.marks.mark_unchanged();
        state.queue.extend(state.feed.messages(&state.lead.consensus.local()));
    }
}

fn assignments_to_wire(message: Assignments) -> wire::AssignmentsMessage {
    let Assignments { kind, applies_to, results_in, changes } = message;
    let kind = match kind {
        AssignmentKind::Complete => wire::AssignmentsType::Complete,
        AssignmentKind::Incremental => wire::AssignmentsType::Incremental,
    };
    wire::AssignmentsMessage {
        r#type: kind as i32,
        applies_to,
        results_in,
        changes: changes.iter().map(change_to_wire).collect(),
    }
}

fn change_to_wire(change: &AssignmentChange) -> wire::AssignmentChange {
    use wire::assignment::Item;
    let (item, action) = match change {
        AssignmentChange::Update(Assignable::Task(task)) => {
            (Item::Task(Box::new(convert::task_to_wire(task))), wire::AssignmentAction::Update)
        }
        AssignmentChange::Update(Assignable::Secret(secret)) => {
            (Item::Secret(convert::secret_to_wire(secret)), wire::AssignmentAction::Update)
        }
        AssignmentChange::Update(Assignable::Config(config)) => {
            (Item::Config(convert::config_to_wire(config)), wire::AssignmentAction::Update)
        }
        AssignmentChange::Remove(AssignableId::Task(id)) => {
            let task = wire::Task { id: id.to_string(), ..Default::default() };
            (Item::Task(Box::new(task)), wire::AssignmentAction::Remove)
        }
        AssignmentChange::Remove(AssignableId::Secret(id)) => {
            let secret = wire::Secret { id: id.to_string(), ..Default::default() };
            (Item::Secret(secret), wire::AssignmentAction::Remove)
        }
        AssignmentChange::Remove(AssignableId::Config(id)) => {
            let config = wire::Config { id: id.to_string(), ..Default::default() };
            (Item::Config(config), wire::AssignmentAction::Remove)
        }
    };
    wire::AssignmentChange {
        assignment: Some(wire::Assignment { item: Some(item) }),
        action: action as i32,
    }
}
