//! openraft's own storage suite against the redb log, and what a restart must not lose.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use shoal_cluster::Change;
use shoal_model::Timestamp;
use shoal_model::swarm::{Annotations, SecretSpec};
use tempfile::TempDir;

use super::*;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(&dir.path().join("raft.redb")).unwrap();
        let machine = StateMachine::restore(Replica::new(), log.clone()).unwrap();
        Ok((dir, log, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openrafts_storage_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}

fn secret(number: u64) -> Batch {
    let mut rng = shoal_cluster::Rng::from_seed(number);
    let secret = shoal_model::swarm::Secret {
        id: rng.secret_id(),
        meta: Default::default(),
        spec: SecretSpec {
            annotations: Annotations::named(format!("secret-{number}")),
            data: vec![1, 2, 3],
        },
    };
    Batch::new(Timestamp::from_seconds(1), vec![Change::CreateSecret(Box::new(secret))])
}

fn quick() -> RaftTimers {
    RaftTimers { snapshot_every: 20, keep_entries: 5, ..RaftTimers::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 0..3u64 {
        let consensus = RaftConsensus::start(dir.path(), 1, &quick()).await.unwrap();
        assert_eq!(consensus.local().secrets().len(), expected, "round {round}");
        for number in 0..33 {
            consensus.propose(secret(round * 1000 + number)).await.unwrap();
            expected += 1;
        }
        assert_eq!(consensus.view().await.unwrap().secrets().len(), expected);
        consensus.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_changes_nothing_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let consensus = RaftConsensus::start(dir.path(), 1, &quick()).await.unwrap();
    consensus.propose(secret(1)).await.unwrap();
    let refused = consensus.propose(secret(1)).await;
    assert!(
        matches!(&refused, Err(RaftError::Refused(why)) if why.contains("exists")),
        "{refused:?}"
    );
    assert_eq!(consensus.local().secrets().len(), 1);
    consensus.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_hear_of_every_batch() {
    let dir = tempfile::tempdir().unwrap();
    let consensus = RaftConsensus::start(dir.path(), 1, &quick()).await.unwrap();
    let mut events = consensus.watch();
    consensus.propose(secret(1)).await.unwrap();
    assert_eq!(events.recv().await.unwrap().len(), 1);
    consensus.stop().await;
}
