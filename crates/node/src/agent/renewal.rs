//! How a node gets its certificate: the first with a token, each next one with the one before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shoal_cluster::Rng;
use shoal_cluster::ca::{JoinToken, renewal_time};
use shoal_model::Timestamp;
use shoal_model::swarm::{Availability, NodeRole};
use tonic::transport::Channel;

use super::Agent;
use super::unreachable::failed;
use crate::clock::Clock;
use crate::config::Timers;
use crate::error::NodeError;
use crate::files;
use crate::pki::{Identity, PendingKey, RootCa, digest, random};
use crate::tls::{Stage, channel};
use crate::wire;
use crate::wire::c_a_client::CAClient;
use crate::wire::node_c_a_client::NodeCAClient;

/// Longest sleep before the time is looked at again: sleeps stand still while the machine is
/// suspended, and the life of a certificate does not.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// A root certificate and a node's first certificate.
pub(crate) struct Enrolment {
    pub(crate) root: RootCa,
    pub(crate) identity: Identity,
}

/// Fetches the root certificate from a manager nobody vouches for, and believes it only if the
/// token's digest is its.
pub(crate) async fn fetch_root(
    addr: &str,
    token: &JoinToken,
    timers: &Timers,
) -> Result<RootCa, NodeError> {
    let mut client = CAClient::new(connect(addr, Stage::Unverified, timers));
    let call = client.get_root_ca_certificate(wire::GetRootCaCertificateRequest {});
    let answer = in_time(addr, timers.rpc_timeout, call).await?;
    if digest(&answer.certificate) != *token.digest() {
        return Err(NodeError::ForeignRoot { expected: hex::encode(token.digest()) });
    }
    Ok(RootCa::from_pem(&answer.certificate, None)?)
}

/// Joins a cluster: shows the token to a manager the root vouches for, gets a certificate.
pub(crate) async fn enrol(
    addr: &str,
    root: RootCa,
    token: &str,
    availability: Availability,
    timers: &Timers,
) -> Result<Enrolment, NodeError> {
    let root = Arc::new(root);
    let channel = connect(addr, Stage::Joining(Arc::clone(&root)), timers);
    let identity = request(addr, channel, token, availability, timers).await?;
    let root = RootCa::from_pem(root.pem(), None)?;
    Ok(Enrolment { root, identity })
}

async fn request(
    addr: &str,
    channel: Channel,
    token: &str,
    availability: Availability,
    timers: &Timers,
) -> Result<Identity, NodeError> {
    let pending = PendingKey::generate()?;
    let mut client = NodeCAClient::new(channel);
    let availability = match availability {
        Availability::Active => wire::NodeAvailability::Active,
        Availability::Pause => wire::NodeAvailability::Pause,
        Availability::Drain => wire::NodeAvailability::Drain,
    };
    let issue = client.issue_node_certificate(wire::IssueNodeCertificateRequest {
        role: wire::NodeRole::Worker as i32,
        csr: pending.csr_pem().to_vec(),
        token: token.to_owned(),
        availability: availability as i32,
    });
    let wire::IssueNodeCertificateResponse { node_id, node_membership: _ } =
        in_time(addr, timers.rpc_timeout, issue).await?;
    let status = client.node_certificate_status(wire::NodeCertificateStatusRequest { node_id });
    let answer = in_time(addr, timers.join_timeout, status).await?;
    let certificate = answer.certificate.unwrap_or_default();
    let state = answer.status.unwrap_or_default();
    let issued = matches!(
        wire::IssuanceState::try_from(state.state),
        Ok(wire::IssuanceState::Issued | wire::IssuanceState::Rotate)
    );
    if !issued {
        return Err(NodeError::Invalid(format!("the certificate was not issued: {}", state.err)));
    }
    if certificate.csr != pending.csr_pem() {
        return Err(NodeError::Invalid("the certificate answers another request".to_owned()));
    }
    Ok(pending.complete(&certificate.certificate)?)
}

fn connect(addr: &str, stage: Stage, timers: &Timers) -> Channel {
    channel(addr, stage, timers.rpc_timeout)
}

async fn in_time<T>(
    addr: &str,
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, NodeError> {
    match tokio::time::timeout(limit, call).await {
        Err(_) => {
            let why = format!("no answer within {} s", limit.as_secs());
            Err(NodeError::Unreachable { addrs: addr.to_owned(), why })
        }
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(failed(addr, &status)),
    }
}

/// Asks for the next certificate in time, or when a manager demands it.
pub(super) async fn keep_fresh(agent: &Agent) {
    let seed = random().map_or(0, u64::from_le_bytes);
    let mut rng = Rng::from_seed(seed);
    loop {
        let (not_before, not_after) = agent.credentials.current().identity.validity();
        let now = agent.clock.now();
        let due = renewal_time(not_before, not_after, now, &mut rng);
        tokio::select! {
            () = agent.stop.cancelled() => return,
            () = until(due, &agent.clock) => {}
            () = agent.renew.notified() => {}
        }
        let renewed = tokio::select! {
            () = agent.stop.cancelled() => return,
            renewed = renew(agent, &mut rng) => renewed,
        };
        match renewed {
            Ok(()) => tracing::info!("the node's certificate was renewed"),
            Err(error) => {
                tracing::info!(error = %shoal_model::Classify::chain(&error), "certificate not renewed");
            }
        }
        tokio::select! {
            () = agent.stop.cancelled() => return,
            () = tokio::time::sleep(agent.timers.renewal_pause) => {}
        }
    }
}

/// Returns when the system's clock shows this time.
async fn until(due: Timestamp, clock: &Clock) {
    while let Some(nap) = nap(due, clock.now()) {
        tokio::time::sleep(nap).await;
    }
}

/// How long to sleep before the time is looked at again; `None` when it has come.
fn nap(due: Timestamp, now: Timestamp) -> Option<Duration> {
    (due > now).then(|| due.since(now).min(LOOK_AGAIN))
}

/// What to do about a certificate that has expired; `None` while it is valid. With an expired
/// one nobody speaks to this node any more, and it cannot ask for the next.
pub(super) fn expired(agent: &Agent) -> Option<String> {
    let current = agent.credentials.current();
    let identity = &current.identity;
    let (_, end) = identity.validity();
    let remedy = match identity.name().role {
        NodeRole::Worker => "let it leave the swarm and join it again",
        NodeRole::Manager => "it issues itself the next",
    };
    let text = || format!("the node's certificate has expired on {end}: {remedy}");
    identity.expired(agent.clock.now()).then(text)
}

async fn renew(agent: &Agent, rng: &mut Rng) -> Result<(), NodeError> {
    if let Some(why) = expired(agent) {
        return Err(NodeError::Invalid(why));
    }
    let addr = agent.managers.pick(rng).ok_or(NodeError::NoLeader)?;
    let before = agent.credentials.current();
    let stage = Stage::Member(Arc::clone(&agent.credentials));
    let channel = connect(&addr, stage, &agent.timers);
    let identity = request(&addr, channel, "", Availability::Active, &agent.timers).await?;
    let (old, new) = (before.identity.name(), identity.name());
    if old.role == NodeRole::Worker && new.role == NodeRole::Manager {
        return Err(NodeError::NotImplemented("becoming a manager".to_owned()));
    }
    if old.node != new.node || old.cluster != new.cluster {
        return Err(NodeError::Invalid("the certificate is for another node".to_owned()));
    }
    let dir = agent.root.clone();
    let identity =
        tokio::task::spawn_blocking(move || save_identity(&dir, &identity).map(|()| identity))
            .await
            .map_err(|_| NodeError::Stopping)??;
    agent.credentials.replace(identity, Arc::clone(&before.root))?;
    Ok(())
}

/// Where a node's certificate, key and root are kept; Docker's names.
pub(crate) struct IdentityFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) root: PathBuf,
}

impl IdentityFiles {
    /// The files below the node's directory.
    pub(crate) fn below(dir: &Path) -> Self {
        let dir = dir.join("certificates");
        Self {
            certificate: dir.join("swarm-node.crt"),
            key: dir.join("swarm-node.key"),
            root: dir.join("swarm-root-ca.crt"),
        }
    }
}

/// Keeps an identity. Key and certificate are written together into a file of their own first,
/// which goes last: after a crash in between, loading takes that one. Blocking.
pub(crate) fn save_identity(dir: &Path, identity: &Identity) -> Result<(), NodeError> {
    let IdentityFiles { certificate, key, root: _ } = IdentityFiles::below(dir);
    let mut both = identity.key_pem().to_vec();
    both.extend_from_slice(identity.certificate_pem());
    let pair = key.with_extension("pair");
    files::write(&pair, &both)?;
    files::write(&key, identity.key_pem())?;
    files::write(&certificate, identity.certificate_pem())?;
    files::remove(&pair)
}

/// Reads an identity; `None` if there is none. Blocking.
pub(crate) fn load_identity(dir: &Path) -> Result<Option<Identity>, NodeError> {
    let IdentityFiles { certificate, key, root: _ } = IdentityFiles::below(dir);
    if let Some(both) = files::read(&key.with_extension("pair"))?
        && let Ok(identity) = Identity::from_pem(&both, &both)
    {
        return Ok(Some(identity));
    }
    match (files::read(&certificate)?, files::read(&key)?) {
        (Some(certificate), Some(key)) => Ok(Some(Identity::from_pem(&certificate, &key)?)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_looked_at_again_before_it_is_due() {
        let now = Timestamp::from_seconds(1_000_000);
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(nap(now + day, now), Some(LOOK_AGAIN));
        assert_eq!(nap(now + Duration::from_secs(5), now), Some(Duration::from_secs(5)));
        // The machine slept beyond it.
        assert_eq!(nap(now, now + day), None);
    }
}
