//! The types openraft is instantiated with.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shoal_cluster::Batch;

openraft::declare_raft_types!(
    /// Shoal's instance of openraft: entries carry batches of changes of the cluster store.
    pub TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = u64,
        Node = openraft::impls::BasicNode,
);

pub(super) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(super) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(super) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(super) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(super) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(super) type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, Vec<u8>>;

/// One entry's batch. Cloning copies a pointer: the log's cache, the state machine and the
/// proposer share one value.
#[derive(Clone, Debug)]
pub struct Proposal(pub Arc<Batch>);

impl Serialize for Proposal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Proposal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Batch::deserialize(deserializer).map(|batch| Self(Arc::new(batch)))
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes", self.0.changes.len())
    }
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// It had no changes in it (a new leader's first entry, a change of membership).
    Nothing,
    /// The store took the changes.
    Taken,
    /// The store refused them; its words. All managers refuse alike.
    Refused(String),
}
