//! One container in memory: what it is, where it is, and who may act on it.
//!
//! Four locks with four meanings, taken in this order:
//! - `gate`: one verb at a time acts on the container; held over waiting.
//! - `session`: who holds it owns the run-time things (process, bundle, sandbox,
//!   cgroup). Held from a start until all of that is gone again, so the next
//!   start and the removal wait for the clean-up and for nothing else.
//! - `disk`: held while the state is written, so that the last word on disk is the
//!   last word in memory.
//! - `state`: read and changed in passing, never held over waiting; whoever
//!   watches it sees every change.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use shoal_image::Lease;
use shoal_model::ContainerId;
use tokio::sync::{Mutex as Gate, oneshot, watch};

use super::record::Record;
use super::state::{Kept, RunState};
use crate::shim::Connection;

/// One container.
#[derive(Debug)]
pub(crate) struct Container {
    /// Its id.
    pub(crate) id: ContainerId,
    /// One verb at a time.
    pub(crate) gate: Gate<()>,
    /// Owner of the run-time things.
    pub(crate) session: Arc<Gate<()>>,
    /// One writer of `state.json` at a time, and what of it survives a power cut.
    pub(crate) disk: Gate<Kept>,
    /// Where it is.
    pub(crate) state: watch::Sender<RunState>,
    record: RwLock<Arc<Record>>,
    /// Clients that attached before the start.
    waiting_attaches: Mutex<Vec<WaitingAttach>>,
    /// Keeps the image's layers.
    _layers: Option<Lease>,
}

/// A client that attached before the start.
#[derive(Debug)]
pub(crate) struct WaitingAttach {
    /// Which streams it wants.
    pub(crate) wants: shoal_runtime::protocol::Operation,
    /// Where the connection goes once there is one.
    pub(crate) connection: oneshot::Sender<Connection>,
}

impl Container {
    pub(crate) fn new(record: Record, state: RunState, layers: Option<Lease>) -> Arc<Self> {
        Arc::new(Container {
            id: record.id.clone(),
            gate: Gate::default(),
            session: Arc::default(),
            disk: Gate::default(),
            state: watch::Sender::new(state),
            record: RwLock::new(Arc::new(record)),
            waiting_attaches: Mutex::default(),
            _layers: layers,
        })
    }

    /// What it is.
    pub(crate) fn record(&self) -> Arc<Record> {
        self.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what it is. Only under the gate.
    pub(crate) fn set_record(&self, record: Record) {
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(record);
    }

    /// Remembers a client for the next start.
    pub(crate) fn add_waiting_attach(&self, attach: WaitingAttach) {
        let mut attaches = self.waiting_attaches.lock().unwrap_or_else(PoisonError::into_inner);
        // Clients that have gone meanwhile.
        attaches.retain(|attach| !attach.connection.is_closed());
        attaches.push(attach);
    }

    /// The clients that wait for a start; dropping them ends them.
    pub(crate) fn take_waiting_attaches(&self) -> Vec<WaitingAttach> {
        std::mem::take(&mut *self.waiting_attaches.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use shoal_model::Timestamp;

    use super::*;
    use crate::container::record::Rootfs;
    use crate::domain::{ContainerConfig, HostConfig};

    /// A record with nothing in it but an id and a name.
    pub(crate) fn record(id: &str, name: &str) -> Record {
        Record {
            id: id.parse().unwrap(),
            name: name.into(),
            created_at: Timestamp::EPOCH,
            image_id: None,
            layers: vec![],
            config: ContainerConfig::default(),
            host: HostConfig::default(),
            networks: Default::default(),
            mounts: vec![],
            rootfs: Rootfs::default(),
            hidden: false,
        }
    }

    /// A container with nothing in it but an id and a name.
    pub(crate) fn container(id: &str, name: &str) -> Arc<Container> {
        Container::new(record(id, name), RunState::default(), None)
    }
}
