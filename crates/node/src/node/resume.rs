//! Taking up a membership after a restart.

use std::sync::Arc;
use std::time::Duration;

use shoal_model::Classify;

use super::init::bind;
use super::state::{ManagerState, State, blocking};
use super::{Node, Place};
use crate::agent::{Managers, load_identity, save_identity};
use crate::error::NodeError;
use crate::files;
use crate::pki::{Identity, PendingKey, RootCa};
use crate::raft::RaftConsensus;
use crate::tls::Credentials;

impl Node {
    /// Takes up what the state file says. A membership that cannot be taken up is shown, not
    /// forgotten.
    pub(super) async fn resume(&self) -> Result<(), NodeError> {
        let files = self.files();
        let state: Option<State> = blocking(move || {
            files.make_dirs()?;
            files::read_json(&files.state)
        })
        .await?;
        let Some(state) = state else { return Ok(()) };
        if let Err(error) = self.take_up(state).await {
            let text = error.chain();
            tracing::error!(error = text, "this node's membership cannot be taken up");
            *self.place() = Place::Broken(text);
        }
        Ok(())
    }

    async fn take_up(&self, state: State) -> Result<(), NodeError> {
        let State { node_id, advertise_addr, manager } = state;
        let (identity, root_pem) = self.load().await?;
        match manager {
            None => {
                let root = Arc::new(RootCa::from_pem(&root_pem, None)?);
                let credentials = Arc::new(Credentials::new(identity, root)?);
                self.start_worker(credentials, advertise_addr, None).await
            }
            Some(ManagerState { listen_addr, raft_id }) => {
                let listener = bind(listen_addr).await?;
                let consensus =
                    RaftConsensus::start(&self.files().raft, raft_id, &self.config.timers.raft)
                        .await?;
                let view = consensus.local();
                let cluster = view.cluster().ok_or(NodeError::NoLeader)?;
                let stored = &cluster.root_ca;
                let key = Some(stored.key_pem.as_str()).filter(|key| !key.is_empty());
                let root = Arc::new(RootCa::from_pem(stored.certificate_pem.as_bytes(), key)?);
                let lifetime = cluster.spec.ca.node_cert_expiry;
                let identity = match identity.expired(self.clock.now()) {
                    true => self.reissue(&identity, &root, lifetime).await?,
                    false => identity,
                };
                let credentials = Arc::new(Credentials::new(identity, root)?);
                self.start_manager(consensus, credentials, node_id, advertise_addr, listener).await
            }
        }
    }

    /// A manager was away for so long that its certificate has expired. Nobody would renew it,
    /// but it has the root's key.
    async fn reissue(
        &self,
        old: &Identity,
        root: &RootCa,
        lifetime: Duration,
    ) -> Result<Identity, NodeError> {
        let pending = PendingKey::generate()?;
        let issued = root.issue(pending.csr_pem(), old.name(), self.clock.now(), lifetime)?;
        let identity = pending.complete(&issued)?;
        tracing::info!("the node's certificate had expired and was issued anew");
        let dir = self.config.root.clone();
        blocking(move || save_identity(&dir, &identity).map(|()| identity)).await
    }

    async fn load(&self) -> Result<(Identity, Vec<u8>), NodeError> {
        let dir = self.config.root.clone();
        let root_file = self.files().identity.root;
        blocking(move || {
            let missing = |what: &str| NodeError::Invalid(format!("the {what} is missing"));
            let identity = load_identity(&dir)?.ok_or_else(|| missing("node certificate"))?;
            let root = files::read(&root_file)?.ok_or_else(|| missing("root certificate"))?;
            Ok((identity, root))
        })
        .await
    }

    /// Takes up a worker's duties; `attempt` names the join they follow from.
    pub(super) async fn start_worker(
        &self,
        credentials: Arc<Credentials>,
        advertise_addr: String,
        attempt: Option<u64>,
    ) -> Result<(), NodeError> {
        let managers_file = self.files().managers;
        let managers = blocking(move || Managers::open(managers_file, None)).await?;
        let mut place = self.place();
        // Taking up a membership, or the join that has just succeeded; not one that was called
        // off meanwhile.
        match &*place {
            Place::Joining(joining) if attempt == Some(joining.attempt) => {}
            Place::Inactive | Place::Broken(_) if attempt.is_none() => {}
            _ => return Err(NodeError::Stopping),
        }
        let member = self.start_agent(credentials, Arc::new(managers), None, advertise_addr);
        *place = Place::Member(member);
        Ok(())
    }
}
