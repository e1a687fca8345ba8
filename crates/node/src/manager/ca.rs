//! Certificates: the root for everybody, a node's own for who shows a token or the one before.

use std::sync::Arc;

use shoal_cluster::ca::{Access, role_for_token};
use shoal_cluster::commands::NewNode;
use shoal_cluster::store::MAX_CHANGES_PER_BATCH;
use shoal_cluster::{Batch, Change, Command, Rng, Store, decide};
use shoal_model::SwarmNodeId;
use shoal_model::swarm::{Availability, Certificate, IssuanceState, NodeRole};
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};

use super::Lead;
use super::status::not_leading;
use crate::convert;
use crate::pki::{PeerName, PkiError, RootCa};
use crate::raft::Consensus;
use crate::wire;
use crate::wire::c_a_server::CA;
use crate::wire::node_c_a_server::NodeCA;

/// Docker's words for a token that is not this cluster's.
const BAD_TOKEN: &str = "A valid join token is necessary to join this cluster";

pub(super) struct Service(pub(super) Arc<Lead>);

#[tonic::async_trait]
impl CA for Service {
    async fn get_root_ca_certificate(
        &self,
        _request: Request<wire::GetRootCaCertificateRequest>,
    ) -> Result<Response<wire::GetRootCaCertificateResponse>, Status> {
        let certificate = self.0.credentials.current().root.pem().to_vec();
        Ok(Response::new(wire::GetRootCaCertificateResponse { certificate }))
    }

    async fn get_unlock_key(
        &self,
        _request: Request<wire::GetUnlockKeyRequest>,
    ) -> Result<Response<wire::GetUnlockKeyResponse>, Status> {
        Err(Status::unimplemented("locking managers is not implemented"))
    }
}

#[tonic::async_trait]
impl NodeCA for Service {
    async fn issue_node_certificate(
        &self,
        request: Request<wire::IssueNodeCertificateRequest>,
    ) -> Result<Response<wire::IssueNodeCertificateResponse>, Status> {
        let member = match request.extensions().get::<Access>() {
            Some(Access::Member { node, role: _ }) => Some(node.clone()),
            Some(Access::Anonymous) | None => None,
        };
        let wire::IssueNodeCertificateRequest { role: _, csr, token, availability } =
            request.into_inner();
        let node_id = match (member, token.is_empty()) {
            (Some(node), true) => self.renew(node, csr).await?,
            _ => self.join(&token, csr, availability).await?,
        };
        Ok(Response::new(wire::IssueNodeCertificateResponse {
            node_id: node_id.to_string(),
            node_membership: wire::NodeMembership::Accepted as i32,
        }))
    }

    async fn node_certificate_status(
        &self,
        request: Request<wire::NodeCertificateStatusRequest>,
    ) -> Result<Response<wire::NodeCertificateStatusResponse>, Status> {
        let unknown = || Status::not_found("node not found");
        let id: SwarmNodeId = request.get_ref().node_id.parse().map_err(|_| unknown())?;
        let mut events = self.0.consensus.watch();
        loop {
            let view = self.0.consensus.view().await.map_err(|_| not_leading())?;
            let node = view.node(&id).ok_or_else(unknown)?;
            let state = node.certificate.state;
            if !matches!(state, IssuanceState::Pending | IssuanceState::Renew) {
                return Ok(Response::new(wire::NodeCertificateStatusResponse {
                    status: Some(convert::issuance_to_wire(state, &node.certificate.err)),
                    certificate: Some(convert::certificate_to_wire(&node.certificate)),
                }));
            }
            tokio::select! {
                () = self.0.stop.cancelled() => return Err(not_leading()),
                received = events.recv() => if matches!(received, Err(RecvError::Closed)) {
                    return Err(not_leading());
                },
            }
        }
    }
}

impl Service {
    /// Lets a new node in: it exists and has its certificate in one proposal.
    async fn join(
        &self,
        token: &str,
        csr: Vec<u8>,
        availability: i32,
    ) -> Result<SwarmNodeId, Status> {
        let view = self.0.consensus.view().await.map_err(|_| not_leading())?;
        let cluster = view.cluster().ok_or_else(not_leading)?;
        let role = role_for_token(&cluster.root_ca.join_tokens, token)
            .ok_or_else(|| Status::invalid_argument(BAD_TOKEN))?;
        if role == NodeRole::Manager {
            return Err(Status::unimplemented(
                "joining as a manager is not implemented: use the worker's join token",
            ));
        }
        let availability = match wire::NodeAvailability::try_from(availability) {
            Ok(wire::NodeAvailability::Active) => Availability::Active,
            Ok(wire::NodeAvailability::Pause) => Availability::Pause,
            Ok(wire::NodeAvailability::Drain) => Availability::Drain,
            Err(error) => return Err(Status::invalid_argument(error.to_string())),
        };
        let id = SwarmNodeId::from_bytes(
            crate::pki::random().map_err(|error| Status::internal(error.to_string()))?,
        );
        let new = NewNode { id: id.clone(), role, availability, csr_pem: csr, description: None };
        let changes = let_in(&self.0, &view, new, &self.0.credentials.current().root)?;
        self.propose(changes).await?;
        tracing::info!(node = %id, "node joined the cluster");
        Ok(id)
    }

    /// Gives a member its next certificate.
    async fn renew(&self, id: SwarmNodeId, csr: Vec<u8>) -> Result<SwarmNodeId, Status> {
        let view = self.0.consensus.view().await.map_err(|_| not_leading())?;
        let node = view.node(&id).ok_or_else(|| Status::not_found("node not found"))?;
        let root = Arc::clone(&self.0.credentials.current().root);
        let change = sign(&self.0, &view, &id, node.spec.desired_role, csr, &root)?;
        self.propose(vec![change]).await?;
        tracing::debug!(node = %id, "certificate renewed");
        Ok(id)
    }

    async fn propose(&self, changes: Vec<Change>) -> Result<(), Status> {
        let batch = Batch::new(self.0.clock.now(), changes);
        self.0.consensus.propose(batch).await.map_err(|_| not_leading())
    }
}

/// The changes that make a node a member, its certificate included.
fn let_in(lead: &Lead, view: &Store, new: NewNode, root: &RootCa) -> Result<Vec<Change>, Status> {
    let (id, role, csr) = (new.id.clone(), new.role, new.csr_pem.clone());
    let issued = sign(lead, view, &id, role, csr, root)?;
    let command = Command::JoinNode(Box::new(new));
    // The command draws no chance: its ids came with it.
    let decision = decide(view, command, lead.clock.now(), &mut Rng::from_seed(0))
        .map_err(|error| Status::failed_precondition(error.to_string()))?;
    let mut changes = decision.changes;
    changes.push(issued);
    debug_assert!(changes.len() <= MAX_CHANGES_PER_BATCH, "one node is a few changes");
    Ok(changes)
}

fn sign(
    lead: &Lead,
    view: &Store,
    id: &SwarmNodeId,
    role: NodeRole,
    csr: Vec<u8>,
    root: &RootCa,
) -> Result<Change, Status> {
    let cluster = view.cluster().ok_or_else(not_leading)?;
    let name = PeerName { cluster: cluster.id.to_string(), role, node: id.to_string() };
    let lifetime = cluster.spec.ca.node_cert_expiry;
    let pem = root.issue(&csr, &name, lead.clock.now(), lifetime).map_err(|error| match error {
        PkiError::Malformed { .. } => Status::invalid_argument(error.to_string()),
        other => {
            tracing::warn!(error = %other, "cannot sign a node's certificate");
            Status::internal("cannot sign the certificate")
        }
    })?;
    let certificate = Certificate {
        role,
        csr_pem: csr,
        state: IssuanceState::Issued,
        err: String::new(),
        certificate_pem: pem,
        common_name: id.to_string(),
    };
    Ok(Change::SetNodeCertificate { node: id.clone(), certificate: Box::new(certificate), role })
}
