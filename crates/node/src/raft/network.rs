//! The road between managers.
//!
//! A cluster has one manager for now; openraft asks for this road only when there are more.
//! Every call says so instead of pretending.

use openraft::OptionalSend;
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};

use super::types::{Snapshot, TypeConfig, Vote};

/// Makes a [`Road`] per other manager.
pub(super) struct Roads;

/// The road to one other manager.
pub(super) struct Road {
    target: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("manager {target}: raft between managers is not implemented")]
struct NoRoad {
    target: u64,
}

impl Road {
    fn closed(&self) -> Unreachable<TypeConfig> {
        Unreachable::new(&NoRoad { target: self.target })
    }
}

impl RaftNetworkFactory<TypeConfig> for Roads {
    type Network = Road;

    async fn new_client(&mut self, target: u64, _node: &openraft::impls::BasicNode) -> Road {
        Road { target }
    }
}

impl RaftNetworkV2<TypeConfig> for Road {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.closed()))
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.closed()))
    }

    async fn pre_vote(
        &mut self,
        _request: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(RPCError::Unreachable(self.closed()))
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(StreamingError::Unreachable(self.closed()))
    }
}
