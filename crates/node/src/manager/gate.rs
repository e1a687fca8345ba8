//! Who may call what: every call passes here before its service sees it.
//!
//! The rules are the core's ([`shoal_cluster::ca::authorize`]); a call whose path is not known
//! to them is for managers only. A service finds the caller in the request's extensions.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use shoal_cluster::ca::{Access, Peer, authorize, right_for};
use shoal_model::SwarmNodeId;
use tonic::body::Body;
use tonic::{Request, Status};
use tower::{Layer, Service};

use super::Lead;
use crate::tls::PeerInfo;

/// Puts a [`Gate`] before a service.
#[derive(Clone)]
pub(super) struct GateLayer(pub(super) Arc<Lead>);

/// Lets through who may.
#[derive(Clone)]
pub(super) struct Gate<S> {
    lead: Arc<Lead>,
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { lead: Arc::clone(&self.0), inner }
    }
}

impl<S> Service<http::Request<Body>> for Gate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<http::Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match admit(&self.lead, &request) {
            Ok(access) => {
                request.extensions_mut().insert(access);
                Either::Left(self.inner.call(request))
            }
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

fn admit(lead: &Lead, request: &http::Request<Body>) -> Result<Access, Status> {
    let view = lead.consensus.local();
    let cluster = view.cluster().ok_or_else(|| Status::unavailable("no cluster yet"))?;
    let info = request.extensions().get::<PeerInfo>();
    let peer = info.and_then(|info| info.name.as_ref()).map(|name| Peer {
        common_name: name.node.clone(),
        organisation: name.cluster.clone(),
        organisational_unit: name.role.organisational_unit().to_owned(),
    });
    let path = request.uri().path();
    authorize(right_for(path), peer.as_ref(), &cluster.id, &cluster.blacklisted_certificates)
        .map_err(|denied| {
            tracing::debug!(path, %denied, "cluster call refused");
            Status::permission_denied(format!("Permission denied: {denied}"))
        })
}

/// The node that called; the gate has checked its certificate.
pub(super) fn caller<T>(request: &Request<T>) -> Result<SwarmNodeId, Status> {
    match request.extensions().get::<Access>() {
        Some(Access::Member { node, role: _ }) => Ok(node.clone()),
        Some(Access::Anonymous) | None => {
            Err(Status::permission_denied("Permission denied: no client certificates in request"))
        }
    }
}

/// The address the call came from, without port.
pub(super) fn caller_addr<T>(request: &Request<T>) -> String {
    let info = request.extensions().get::<PeerInfo>();
    info.map_or_else(String::new, |info| info.addr.ip().to_canonical().to_string())
}
