//! Notices nodes that fell silent.

use std::sync::Arc;

use shoal_cluster::Batch;
use shoal_model::Classify as _;

use super::Lead;
use crate::raft::Consensus;

pub(super) async fn run(lead: Arc<Lead>) {
    loop {
        let deadline = lead.sessions().next_deadline();
        let silence = async {
            match deadline {
                Some(time) => tokio::time::sleep_until(lead.clock.instant(time)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = lead.stop.cancelled() => return,
            () = lead.deadlines.notified() => {}
            () = silence => expire(&lead).await,
        }
    }
}

async fn expire(lead: &Lead) {
    let (late, changes) = {
        let view = lead.consensus.local();
        lead.sessions().expire(&view, lead.clock.steady())
    };
    for node in &late {
        lead.streams.close(node);
    }
    if changes.is_empty() {
        return;
    }
    for node in &late {
        tracing::info!(%node, "node is down: no heartbeat");
    }
    if let Err(error) = lead.consensus.propose(Batch::new(lead.clock.now(), changes)).await {
        tracing::info!(error = %error.chain(), "cannot mark nodes as down");
    }
}
