//! This manager's copy of the cluster store, driven by the raft log.
//!
//! The store lives in memory; what makes it durable is the log and, now and then, a snapshot.
//! Readers get a snapshot of the store that costs a few pointers; watchers get the events of
//! every applied batch.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::{Stream, TryStreamExt};
use openraft::entry::EntryPayload;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use shoal_cluster::{Event, Store};
use tokio::sync::{broadcast, watch};

use super::log_store::LogStore;
use super::types::{Applied, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

/// Batches of events a watcher may fall behind before it has to look at the whole store again.
const EVENT_QUEUE: usize = 1024;

/// The events of one applied batch.
pub type Events = Arc<Vec<Event>>;

/// A shared handle to this manager's copy of the store.
#[derive(Clone)]
pub struct Replica {
    shared: Arc<Shared>,
}

struct Shared {
    state: RwLock<State>,
    events: broadcast::Sender<Events>,
    index: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    store: Store,
    last_applied: Option<LogId>,
    membership: StoredMembership,
}

impl Replica {
    /// An empty store.
    #[expect(
        clippy::new_without_default,
        reason = "there is one per consensus; none is made by chance"
    )]
    pub fn new() -> Self {
        let (events, _) = broadcast::channel(EVENT_QUEUE);
        let (index, _) = watch::channel(0);
        Self { shared: Arc::new(Shared { state: RwLock::default(), events, index }) }
    }

    /// The store as it is now. Not linearizable by itself.
    pub fn store(&self) -> Store {
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner).store.clone()
    }

    /// The events of every batch applied from now on.
    pub fn events(&self) -> broadcast::Receiver<Events> {
        self.shared.events.subscribe()
    }

    /// The number of applied batches, as it grows.
    pub fn index(&self) -> watch::Receiver<u64> {
        self.shared.index.subscribe()
    }

    fn apply(
        &self,
        id: LogId,
        payload: EntryPayload<super::Proposal, u64, openraft::impls::BasicNode>,
    ) -> Applied {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        state.last_applied = Some(id);
        match payload {
            EntryPayload::Blank => Applied::Nothing,
            EntryPayload::Membership(membership) => {
                state.membership = StoredMembership::new(Some(id), membership);
                Applied::Nothing
            }
            EntryPayload::Normal(proposal) => match state.store.apply((*proposal.0).clone()) {
                Err(refused) => Applied::Refused(refused.to_string()),
                Ok(events) => {
                    let index = state.store.index();
                    drop(state);
                    self.shared.index.send_replace(index);
                    if !events.is_empty() {
                        // Nobody may be watching.
                        let _ = self.shared.events.send(Arc::new(events));
                    }
                    Applied::Taken
                }
            },
        }
    }
}

/// The replica together with the log its snapshots are kept in.
pub struct StateMachine {
    replica: Replica,
    log: LogStore,
}

/// A point of the replica that is to become a snapshot.
pub struct SnapshotBuilder {
    store: Store,
    meta: SnapshotMeta,
    log: LogStore,
}

impl StateMachine {
    /// Restores the newest snapshot into the replica. Blocking.
    pub fn restore(replica: Replica, log: LogStore) -> io::Result<Self> {
        if let Some((meta, data)) = log.load_snapshot()? {
            install(&replica, &meta, &data)?;
        }
        Ok(Self { replica, log })
    }
}

fn install(replica: &Replica, meta: &SnapshotMeta, data: &[u8]) -> io::Result<()> {
    let store: Store = serde_json::from_slice(data).map_err(io::Error::other)?;
    let index = store.index();
    let mut state = replica.shared.state.write().unwrap_or_else(PoisonError::into_inner);
    *state =
        State { store, last_applied: meta.last_log_id, membership: meta.last_membership.clone() };
    drop(state);
    replica.shared.index.send_replace(index);
    Ok(())
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Vec<u8>;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let state = self.replica.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok((state.last_applied, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let applied = self.replica.apply(entry.log_id, entry.payload);
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let state = self.replica.shared.state.read().unwrap_or_else(PoisonError::into_inner);
        SnapshotBuilder {
            store: state.store.clone(),
            meta: SnapshotMeta {
                last_log_id: state.last_applied,
                last_membership: state.membership.clone(),
            },
            log: self.log.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: Vec<u8>) -> io::Result<()> {
        self.log.save_snapshot(meta, data.clone()).await?;
        install(&self.replica, meta, &data)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let log = self.log.clone();
        let found = tokio::task::spawn_blocking(move || log.load_snapshot())
            .await
            .map_err(io::Error::other)??;
        Ok(found.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Vec<u8>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let store = self.store.clone();
        let data = tokio::task::spawn_blocking(move || serde_json::to_vec(&store))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        self.log.save_snapshot(&self.meta, data.clone()).await?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: data })
    }
}
