//! Who is alive: sessions and heartbeats.
//!
//! ```text
//!                 register                      silence: 3 periods
//! Unknown, Down ───────────▶ Ready ────────────────────────▶ Down
//!     ▲                        │ the leader changed            ▲
//!     └────────────────────────┘                               │
//!                      silence since then: 6 periods ──────────┘
//! ```

use std::{collections::BTreeMap, fmt, time::Duration};

use shoal_model::swarm::{DispatcherConfig, NodeDescription, NodeState, NodeStatus};
use shoal_model::{SwarmNodeId, Timestamp};

use super::DispatchError;
use crate::{
    Rng,
    store::{Change, Store},
};

/// Heartbeats a node may miss before it counts as down.
pub const DOWN_AFTER_MISSED: u32 = 3;
/// The same after a change of the leader: everybody has to find the new one.
pub const UNKNOWN_AFTER_MISSED: u32 = 6;
/// Heartbeat periods differ by up to this, so that nodes do not all speak at
/// the same moment.
pub const HEARTBEAT_EPSILON: Duration = Duration::from_millis(500);
/// Registrations of one node taken within [`REGISTRATION_WINDOW`]: a worker
/// that loops must not load the leader.
pub const REGISTRATIONS_PER_WINDOW: usize = 3;
/// See [`REGISTRATIONS_PER_WINDOW`].
pub const REGISTRATION_WINDOW: Duration = Duration::from_secs(8);

/// How long the proposal that makes a registered node ready may take before
/// it is made again.
const SETTLING_TIME: Duration = Duration::from_secs(2);

/// Names one session of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl SessionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// To be proposed: the node is ready, and what it said about itself.
    pub changes: Vec<Change>,
}

/// The leader's memory of who is alive.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    nodes: BTreeMap<SwarmNodeId, Watch>,
}

#[derive(Debug, Clone)]
struct Watch {
    /// `None`: not registered with this leader yet.
    session: Option<SessionId>,
    down_at: Timestamp,
    registered: Vec<Timestamp>,
}

impl Watch {
    /// Whether the node has a session, and the proposal that made it ready has
    /// had its time.
    fn is_settled(&self, now: Timestamp) -> bool {
        let last = self.registered.last();
        self.session.is_some() && last.is_some_and(|time| now.since(*time) >= SETTLING_TIME)
    }
}

impl Sessions {
    /// The memory of a manager that has just become the leader, and the
    /// changes to propose: nodes that were alive are unknown until they
    /// register. Their tasks are left alone.
    pub fn lead(view: &Store, now: Timestamp) -> (Self, Vec<Change>) {
        let grace = period(view) * UNKNOWN_AFTER_MISSED;
        let mut sessions = Self::default();
        let mut changes = Vec::new();
        for node in view.nodes().filter(|node| node.status.state != NodeState::Down) {
            let watch = Watch { session: None, down_at: now + grace, registered: Vec::new() };
            sessions.nodes.insert(node.id.clone(), watch);
            if node.status.state == NodeState::Ready {
                let message = "Node moved to \"unknown\" state due to leadership change in cluster";
                let status = NodeStatus {
                    state: NodeState::Unknown,
                    message: message.to_owned(),
                    ..node.status.clone()
                };
                changes.push(Change::SetNodeStatus { node: node.id.clone(), status });
            }
        }
        (sessions, changes)
    }

    /// A node opens a session. `addr` is where the call came from, without
    /// port.
    ///
    /// # Errors
    /// The node is unknown, or registers too often.
    pub fn register(
        &mut self,
        view: &Store,
        node: &SwarmNodeId,
        description: Option<NodeDescription>,
        addr: &str,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<Session, DispatchError> {
        let Some(known) = view.node(node) else {
            return Err(DispatchError::UnknownNode(node.to_string()));
        };
        let down_at = now + deadline(period(view), DOWN_AFTER_MISSED);
        let watch = self.nodes.entry(node.clone()).or_insert_with(|| Watch {
            session: None,
            down_at,
            registered: Vec::new(),
        });
        watch.registered.retain(|time| now.since(*time) < REGISTRATION_WINDOW);
        if watch.registered.len() >= REGISTRATIONS_PER_WINDOW {
            return Err(DispatchError::RegistersTooOften(node.to_string()));
        }
        watch.registered.push(now);
        let id = SessionId(rng.task_id().to_string());
        watch.session = Some(id.clone());
        watch.down_at = down_at;

        let status = NodeStatus {
            state: NodeState::Ready,
            message: String::new(),
            addr: addr.to_owned(),
            since: now,
        };
        let mut changes = vec![Change::SetNodeStatus { node: node.clone(), status }];
        if let Some(description) = description.filter(|new| known.description.as_ref() != Some(new))
        {
            let description = Box::new(description);
            changes.push(Change::SetNodeDescription { node: node.clone(), description });
        }
        Ok(Session { id, changes })
    }

    /// A node shows it is alive; returns when it should do so again.
    ///
    /// # Errors
    /// The session is not the node's current one.
    pub fn heartbeat(
        &mut self,
        view: &Store,
        node: &SwarmNodeId,
        session: &str,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<Duration, DispatchError> {
        self.check(node, session)?;
        let period = jittered(period(view), rng);
        if let Some(watch) = self.nodes.get_mut(node) {
            watch.down_at = now + deadline(period, DOWN_AFTER_MISSED);
        }
        Ok(period)
    }

    /// Whether the session is the node's current one; every call of a worker
    /// names it.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, node: &SwarmNodeId, session: &str) -> Result<(), DispatchError> {
        let current = self.nodes.get(node).and_then(|watch| watch.session.as_ref());
        match current {
            Some(current) if current.0 == session => Ok(()),
            _ => Err(DispatchError::WrongSession),
        }
    }

    /// Whether the node has a session with this leader.
    pub fn is_registered(&self, node: &SwarmNodeId) -> bool {
        self.nodes.get(node).is_some_and(|watch| watch.session.is_some())
    }

    /// Nodes that were silent for too long: their sessions are over, the
    /// caller closes their streams and proposes the changes.
    ///
    /// Looks at the store as well as at the clock, so that a proposal that was
    /// lost or came late is made good: a silent node is named again until the
    /// store has it down, and one that is heard of is made ready again.
    pub fn expire(&mut self, view: &Store, now: Timestamp) -> (Vec<SwarmNodeId>, Vec<Change>) {
        let period = period(view);
        let (mut late, mut changes) = (Vec::new(), Vec::new());
        self.nodes.retain(|id, watch| {
            let Some(node) = view.node(id) else {
                late.push(id.clone());
                return false;
            };
            let (state, message) = if watch.down_at <= now {
                late.push(id.clone());
                watch.session = None;
                watch.down_at = now + period;
                (NodeState::Down, "heartbeat failure")
            } else if watch.is_settled(now) {
                (NodeState::Ready, "")
            } else {
                return true;
            };
            if node.status.state != state {
                let (message, addr) = (message.to_owned(), node.status.addr.clone());
                let status = NodeStatus { state, message, addr, since: now };
                changes.push(Change::SetNodeStatus { node: id.clone(), status });
            }
            // A node the store has down is watched again when it registers.
            state != NodeState::Down || node.status.state != state
        });
        (late, changes)
    }

    /// A node says good-bye in an orderly way (it leaves the cluster, or is
    /// being removed): it is down at once.
    pub fn leave(&mut self, view: &Store, node: &SwarmNodeId, now: Timestamp) -> Vec<Change> {
        self.nodes.remove(node);
        let Some(known) = view.node(node) else { return Vec::new() };
        let status = NodeStatus {
            state: NodeState::Down,
            message: "node is shutting down".to_owned(),
            addr: known.status.addr.clone(),
            since: now,
        };
        vec![Change::SetNodeStatus { node: node.clone(), status }]
    }

    /// When [`Sessions::expire`] has to be asked next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.nodes.values().map(|watch| watch.down_at).min()
    }
}

/// The heartbeat period the user set.
fn period(view: &Store) -> Duration {
    let default = DispatcherConfig::default().heartbeat_period;
    view.cluster().map_or(default, |cluster| cluster.spec.dispatcher.heartbeat_period)
}

/// The period, plus or minus up to [`HEARTBEAT_EPSILON`], but never by more
/// than a tenth of it.
fn jittered(period: Duration, rng: &mut Rng) -> Duration {
    let epsilon = HEARTBEAT_EPSILON.min(period / 10);
    period - epsilon + epsilon.mul_f64(2.0 * rng.fraction())
}

fn deadline(period: Duration, missed: u32) -> Duration {
    period * missed
}
