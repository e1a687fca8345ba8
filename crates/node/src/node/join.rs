//! `swarm join`: becoming a worker of somebody's cluster, ours or Docker's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shoal_cluster::ca::JoinToken;
use shoal_model::swarm::{Availability, NodeRole};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::state::{State, blocking};
use super::{Joining, Node, Place};
use crate::agent::{Contact, Enrolment, enrol, fetch_root};
use crate::api::{JoinRequest, ManagerPeer};
use crate::error::NodeError;
use crate::tls::Credentials;
use crate::{addr, files};

/// How often the managers are tried, and the pause between two rounds: Docker's agent does the
/// same.
const ROUNDS: u32 = 5;
const ROUND_PAUSE: Duration = Duration::from_secs(2);

/// A join that makes sense as far as can be told from here.
struct Plan {
    addrs: Vec<String>,
    token: JoinToken,
    token_text: String,
    availability: Availability,
    advertise_addr: String,
}

impl Node {
    /// Joins a cluster as a worker. Returns when the node has its first session.
    ///
    /// # Errors
    /// The node is in a cluster already; the token is wrong or another cluster's; no manager
    /// can be reached. After [`NodeError::JoinTimeout`] the attempt goes on in the background.
    pub async fn join(self: &Arc<Self>, request: JoinRequest) -> Result<(), NodeError> {
        let changing = self.changing.lock().await;
        if !matches!(*self.place(), Place::Inactive) {
            return Err(NodeError::AlreadyInSwarm);
        }
        let plan = plan(request).await?;
        let stop = CancellationToken::new();
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        let (addrs, advertise_addr) = (plan.addrs.clone(), plan.advertise_addr.clone());
        let (done, outcome) = oneshot::channel();
        let (node, stopped) = (Arc::clone(self), stop.clone());
        {
            // Held, so that the attempt finds itself here however soon it ends.
            let mut place = self.place();
            // Owned by the place: leaving cancels it, and waits for it.
            let task = tokio::spawn(async move {
                let joined = node.attempt(plan, attempt, &stopped).await;
                if joined.is_err() {
                    node.give_up(attempt);
                }
                // Whoever asked may have been told that it takes longer.
                drop(done.send(joined));
            });
            *place = Place::Joining(Joining { attempt, addrs, advertise_addr, stop, task });
        }
        drop(changing);
        match tokio::time::timeout(self.config.timers.join_timeout, outcome).await {
            Ok(Ok(joined)) => joined,
            Ok(Err(_)) => Err(NodeError::Stopping),
            Err(_) => Err(NodeError::JoinTimeout),
        }
    }

    /// One attempt. Up to the first file it can be stopped at any time; from there on it goes
    /// to its end, so that nothing is written after it was waited for.
    async fn attempt(
        &self,
        plan: Plan,
        attempt: u64,
        stop: &CancellationToken,
    ) -> Result<(), NodeError> {
        let (addr, enrolment) = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(NodeError::Stopping),
            enrolled = self.enrol_anywhere(&plan) => enrolled?,
        };
        let advertise_addr = plan.advertise_addr;
        if enrolment.identity.name().role == NodeRole::Manager {
            return Err(NodeError::NotImplemented("joining as a manager".to_owned()));
        }
        let node_id = enrolment.identity.name().node.parse();
        let node_id = node_id.map_err(|error| NodeError::Invalid(format!("node id: {error}")))?;
        let files = self.files();
        let seed = vec![ManagerPeer { node_id: String::new(), addr }];
        blocking(move || {
            files.clear()?;
            files.make_dirs()?;
            files::write_json(&files.managers, &seed)
        })
        .await?;
        let state = State { node_id, advertise_addr: advertise_addr.clone(), manager: None };
        let identity = self.keep(&enrolment.root, enrolment.identity, state).await?;
        let credentials = Arc::new(Credentials::new(identity, Arc::new(enrolment.root))?);
        self.start_worker(credentials, advertise_addr, Some(attempt)).await?;
        self.first_session().await
    }

    /// Gets a certificate from the first manager that answers.
    async fn enrol_anywhere(&self, plan: &Plan) -> Result<(String, Enrolment), NodeError> {
        let Plan { addrs, token, token_text, availability, advertise_addr: _ } = plan;
        let timers = &self.config.timers;
        let mut round = 0;
        loop {
            let mut last = NodeError::NoLeader;
            for addr in addrs {
                let trying = async {
                    let root = fetch_root(addr, token, timers).await?;
                    enrol(addr, root, token_text, *availability, timers).await
                };
                match trying.await {
                    Ok(enrolment) => return Ok((addr.clone(), enrolment)),
                    Err(error @ NodeError::Unreachable { .. }) => last = error,
                    // A refusal stays one.
                    Err(error) => return Err(error),
                }
            }
            round += 1;
            if round == ROUNDS {
                return Err(last);
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// The attempt has failed; nothing is changed if the node has moved on since.
    fn give_up(&self, attempt: u64) {
        let mut place = self.place();
        if matches!(&*place, Place::Joining(joining) if joining.attempt == attempt) {
            *place = Place::Inactive;
        }
    }

    /// Waits for the first session.
    async fn first_session(&self) -> Result<(), NodeError> {
        let mut contact = match &*self.place() {
            Place::Member(member) => member.contact.clone(),
            _ => return Err(NodeError::Stopping),
        };
        contact
            .wait_for(|contact| *contact == Contact::Connected)
            .await
            .map_err(|_| NodeError::Stopping)?;
        Ok(())
    }
}

async fn plan(request: JoinRequest) -> Result<Plan, NodeError> {
    let JoinRequest { listen_addr, advertise_addr, remote_addrs, token, availability } = request;
    if remote_addrs.is_empty() {
        return Err(NodeError::Invalid("at least 1 RemoteAddr is required to join".to_owned()));
    }
    let token_text = token.trim().to_owned();
    let token: JoinToken = token_text.parse().map_err(|_| NodeError::Token)?;
    if token.demands_fips() {
        return Err(NodeError::NotImplemented("joining a cluster in FIPS mode".to_owned()));
    }
    let addrs = remote_addrs.iter().map(|text| addr::remote(text)).collect::<Result<_, _>>()?;
    let listen = addr::listen(&listen_addr).await?;
    // A worker tells its address to nobody: the manager sees where it comes from.
    let advertise_addr = match addr::advertise(&advertise_addr, listen).await {
        Ok(addr) => addr.to_string(),
        Err(NodeError::NoAddress | NodeError::ManyAddresses(_)) if advertise_addr.is_empty() => {
            String::new()
        }
        Err(error) => return Err(error),
    };
    Ok(Plan { addrs, token, token_text, availability, advertise_addr })
}
