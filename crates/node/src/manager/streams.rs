//! The open sessions' streams: who must be told something new.
//!
//! A mark costs a counter; each stream looks at the store itself when it gets to it, so many
//! marks become one message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_model::SwarmNodeId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The streams of all nodes that have a session.
#[derive(Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<SwarmNodeId, Arc<NodeStreams>>>,
}

/// The streams of one session.
pub(super) struct NodeStreams {
    pub(super) session: String,
    /// Ends with the session.
    pub(super) over: CancellationToken,
    node: watch::Sender<u64>,
    tasks: watch::Sender<u64>,
}

impl NodeStreams {
    /// Wakes when the node object or the managers changed.
    pub(super) fn node_marks(&self) -> watch::Receiver<u64> {
        self.node.subscribe()
    }

    /// Wakes when the node's assignments may have changed.
    pub(super) fn task_marks(&self) -> watch::Receiver<u64> {
        self.tasks.subscribe()
    }
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<SwarmNodeId, Arc<NodeStreams>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session's streams; those of the node's session before end.
    pub(super) fn register(
        &self,
        node: SwarmNodeId,
        session: String,
        stop: &CancellationToken,
    ) -> Arc<NodeStreams> {
        let streams = Arc::new(NodeStreams {
            session,
            over: stop.child_token(),
            node: watch::Sender::new(0),
            tasks: watch::Sender::new(0),
        });
        if let Some(before) = self.open().insert(node, Arc::clone(&streams)) {
            before.over.cancel();
        }
        streams
    }

    /// The streams of a node's current session, if it has this id.
    pub(super) fn get(&self, node: &SwarmNodeId, session: &str) -> Option<Arc<NodeStreams>> {
        self.open().get(node).filter(|streams| streams.session == session).cloned()
    }

    /// Ends the streams of a node.
    pub(super) fn close(&self, node: &SwarmNodeId) {
        if let Some(streams) = self.open().remove(node) {
            streams.over.cancel();
        }
    }

    pub(super) fn mark_node(&self, node: &SwarmNodeId) {
        if let Some(streams) = self.open().get(node) {
            streams.node.send_modify(|marks| *marks += 1);
        }
    }

    pub(super) fn mark_tasks(&self, node: &SwarmNodeId) {
        if let Some(streams) = self.open().get(node) {
            streams.tasks.send_modify(|marks| *marks += 1);
        }
    }

    pub(super) fn mark_all_nodes(&self) {
        for streams in self.open().values() {
            streams.node.send_modify(|marks| *marks += 1);
        }
    }

    pub(super) fn mark_all_tasks(&self) {
        for streams in self.open().values() {
            streams.tasks.send_modify(|marks| *marks += 1);
        }
    }
}
