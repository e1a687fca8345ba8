//! `swarm init`: a cluster of one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use shoal_cluster::commands::NewNode;
use shoal_cluster::{Batch, Change, Command, Rng, Store, decide};
use shoal_model::swarm::{
    Certificate, Cluster, ClusterSpec, DEFAULT_CLUSTER_NAME, IssuanceState, JoinTokens,
    ManagerStatus, NodeDescription, NodeRole, Reachability, RootCa as StoredRoot, TlsDescription,
};
use shoal_model::{ClusterId, SwarmNodeId};
use tokio::net::TcpListener;

use super::state::{Files, ManagerState, State, blocking, to_its_end};
use super::{Node, Place};
use crate::agent::{Managers, save_identity};
use crate::api::InitRequest;
use crate::error::NodeError;
use crate::manager::{Manager, Start};
use crate::pki::{Identity, PeerName, PendingKey, RootCa, digest, join_token, random};
use crate::raft::{Consensus, RaftConsensus};
use crate::tls::Credentials;
use crate::{addr, files};

/// The first manager's number in the consensus group.
const FIRST_RAFT_ID: u64 = 1;

/// A new cluster, before anything of it is kept.
struct Founding {
    cluster: Cluster,
    root: RootCa,
    identity: Identity,
    node_id: SwarmNodeId,
    csr: Vec<u8>,
}

impl Node {
    /// Makes a cluster with this node as its manager; returns the node's id.
    ///
    /// # Errors
    /// The node is in a cluster already, an address cannot be used or found, the port is taken.
    pub async fn init(self: &Arc<Self>, request: InitRequest) -> Result<SwarmNodeId, NodeError> {
        let node = Arc::clone(self);
        to_its_end(async move { node.make_cluster(request).await }).await
    }

    async fn make_cluster(&self, request: InitRequest) -> Result<SwarmNodeId, NodeError> {
        let InitRequest { listen_addr, advertise_addr, spec, availability, force_new_cluster } =
            request;
        if force_new_cluster {
            return Err(NodeError::NotImplemented("--force-new-cluster".to_owned()));
        }
        if spec.encryption.auto_lock_managers {
            return Err(NodeError::NotImplemented("--autolock".to_owned()));
        }
        let _changing = self.changing.lock().await;
        if !matches!(*self.place(), Place::Inactive) {
            return Err(NodeError::AlreadyInSwarm);
        }
        let wanted = addr::listen(&listen_addr).await?;
        let listener = bind(wanted).await?;
        // The port may have been left to the system.
        let listen_addr = listener.local_addr().map_err(|source| listen_error(wanted, source))?;
        let advertise_addr = addr::advertise(&advertise_addr, listen_addr).await?.to_string();
        let description = self.engine.describe().await.map_err(|error| {
            NodeError::Invalid(format!("the engine does not describe itself: {error}"))
        })?;

        let founding = found(spec, self.clock.now())?;
        let files = self.files();
        blocking(move || files.clear().and_then(|()| files.make_dirs())).await?;
        let consensus =
            RaftConsensus::start(&self.files().raft, FIRST_RAFT_ID, &self.config.timers.raft)
                .await?;
        let new = NewNode {
            id: founding.node_id.clone(),
            role: NodeRole::Manager,
            availability,
            csr_pem: founding.csr.clone(),
            description: Some(with_issuer(description, &founding.root)?),
        };
        let changes = first_changes(&founding, new, &advertise_addr)?;
        consensus.propose(Batch::new(self.clock.now(), changes)).await?;

        let node_id = founding.node_id.clone();
        let state = State {
            node_id: node_id.clone(),
            advertise_addr: advertise_addr.clone(),
            manager: Some(ManagerState { listen_addr, raft_id: FIRST_RAFT_ID }),
        };
        let Founding { root, identity, cluster: _, node_id: _, csr: _ } = founding;
        let identity = self.keep(&root, identity, state).await?;
        let credentials = Arc::new(Credentials::new(identity, Arc::new(root))?);
        let started =
            self.start_manager(consensus, credentials, node_id.clone(), advertise_addr, listener);
        if let Err(error) = started.await {
            // A cluster nobody was told of.
            let files = self.files();
            blocking(move || files.clear()).await?;
            return Err(error);
        }
        tracing::info!(node = %node_id, listen = %listen_addr, "cluster made");
        Ok(node_id)
    }

    /// Writes the membership, the state last: it is what makes it one.
    pub(super) async fn keep(
        &self,
        root: &RootCa,
        identity: Identity,
        state: State,
    ) -> Result<Identity, NodeError> {
        let dir = self.config.root.clone();
        let root_pem = root.pem().to_vec();
        blocking(move || {
            let Files { state: state_file, identity: kept, .. } = Files::below(&dir);
            files::write(&kept.root, &root_pem)?;
            save_identity(&dir, &identity)?;
            files::write_json(&state_file, &state)?;
            Ok(identity)
        })
        .await
    }

    /// Takes up a manager's duties, and a worker's besides.
    pub(super) async fn start_manager(
        &self,
        consensus: RaftConsensus,
        credentials: Arc<Credentials>,
        node_id: SwarmNodeId,
        advertise_addr: String,
        listener: TcpListener,
    ) -> Result<(), NodeError> {
        let manager = Manager::start(Start {
            consensus,
            credentials: Arc::clone(&credentials),
            timers: self.config.timers.clone(),
            node_id,
            advertise_addr: advertise_addr.clone(),
            listener,
        })
        .await?;
        let local = reachable(manager.listen).to_string();
        let managers_file = self.files().managers;
        let managers = blocking(move || Managers::open(managers_file, Some(local))).await?;
        let member =
            self.start_agent(credentials, Arc::new(managers), Some(manager), advertise_addr);
        *self.place() = Place::Member(member);
        Ok(())
    }
}

/// The address at which a listener on this machine is reached from here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(addr) if addr.ip().is_unspecified() => {
            (std::net::Ipv4Addr::LOCALHOST, addr.port()).into()
        }
        SocketAddr::V6(addr) if addr.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, addr.port()).into()
        }
        other => other,
    }
}

pub(super) async fn bind(addr: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(addr).await.map_err(|source| listen_error(addr, source))
}

fn listen_error(addr: SocketAddr, source: std::io::Error) -> NodeError {
    NodeError::Listen { addr: addr.to_string(), source }
}

fn with_issuer(
    mut description: NodeDescription,
    root: &RootCa,
) -> Result<NodeDescription, NodeError> {
    let issuer = root.issuer_info()?;
    description.tls = TlsDescription {
        trust_root: issuer.trust_root,
        issuer_subject: issuer.subject,
        issuer_public_key: issuer.public_key,
    };
    Ok(description)
}

/// Keys, certificates, ids and tokens of a new cluster.
fn found(mut spec: ClusterSpec, now: shoal_model::Timestamp) -> Result<Founding, NodeError> {
    if spec.annotations.name.is_empty() {
        spec.annotations.name = DEFAULT_CLUSTER_NAME.to_owned();
    }
    let root = RootCa::generate(now)?;
    let cluster_id = ClusterId::from_bytes(random()?);
    let node_id = SwarmNodeId::from_bytes(random()?);
    let pending = PendingKey::generate()?;
    let csr = pending.csr_pem().to_vec();
    let name = PeerName {
        cluster: cluster_id.to_string(),
        role: NodeRole::Manager,
        node: node_id.to_string(),
    };
    let certificate = root.issue(&csr, &name, now, spec.ca.node_cert_expiry)?;
    let identity = pending.complete(&certificate)?;
    let token = |pem| join_token(pem).map(|token| token.to_string());
    let pem = String::from_utf8_lossy(root.pem()).into_owned();
    let cluster = Cluster {
        id: cluster_id,
        meta: Default::default(),
        spec,
        root_ca: StoredRoot {
            certificate_digest: format!("sha256:{}", hex::encode(digest(root.pem()))),
            join_tokens: JoinTokens { worker: token(root.pem())?, manager: token(root.pem())? },
            certificate_pem: pem,
            key_pem: root.key_pem().unwrap_or_default(),
            last_forced_rotation: 0,
        },
        blacklisted_certificates: BTreeMap::new(),
    };
    Ok(Founding { cluster, root, identity, node_id, csr })
}

/// The cluster and its first node, in one batch: there is never one without the other.
fn first_changes(
    founding: &Founding,
    new: NewNode,
    advertise_addr: &str,
) -> Result<Vec<Change>, NodeError> {
    let now = shoal_model::Timestamp::EPOCH;
    let decided = |command| decide(&Store::default(), command, now, &mut Rng::from_seed(0));
    let node = founding.node_id.clone();
    let certificate = Certificate {
        role: NodeRole::Manager,
        csr_pem: founding.csr.clone(),
        state: IssuanceState::Issued,
        err: String::new(),
        certificate_pem: founding.identity.certificate_pem().to_vec(),
        common_name: node.to_string(),
    };
    let status = ManagerStatus {
        raft_id: FIRST_RAFT_ID,
        addr: advertise_addr.to_owned(),
        leader: true,
        reachability: Reachability::Reachable,
    };
    let mut changes = decided(Command::CreateCluster(Box::new(founding.cluster.clone())))?.changes;
    changes.extend(decided(Command::JoinNode(Box::new(new)))?.changes);
    changes.push(Change::SetNodeCertificate {
        node: node.clone(),
        certificate: Box::new(certificate),
        role: NodeRole::Manager,
    });
    changes.push(Change::SetManagerStatus { node, status: Some(status) });
    Ok(changes)
}
