//! Services that exist so that a call to them gets a clear answer.

use tonic::{Request, Response, Status};

use super::gate::caller;
use crate::wire;
use crate::wire::health_server::Health;
use crate::wire::resource_allocator_server::ResourceAllocator;

/// Attaching a single container of a worker to a cluster network.
pub(super) struct NoAllocator;

#[tonic::async_trait]
impl ResourceAllocator for NoAllocator {
    async fn attach_network(
        &self,
        request: Request<wire::AttachNetworkRequest>,
    ) -> Result<Response<wire::AttachNetworkResponse>, Status> {
        caller(&request)?;
        Err(Status::unimplemented("attaching containers to cluster networks is not implemented"))
    }

    async fn detach_network(
        &self,
        request: Request<wire::DetachNetworkRequest>,
    ) -> Result<Response<wire::DetachNetworkResponse>, Status> {
        caller(&request)?;
        Err(Status::unimplemented("attaching containers to cluster networks is not implemented"))
    }
}

/// Whether this manager answers; asked by managers.
pub(super) struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    async fn check(
        &self,
        request: Request<wire::HealthCheckRequest>,
    ) -> Result<Response<wire::HealthCheckResponse>, Status> {
        caller(&request)?;
        let status = match request.get_ref().service.as_str() {
            "" | "Raft" => wire::HealthStatus::Serving,
            other => return Err(Status::not_found(format!("unknown service {other:?}"))),
        };
        Ok(Response::new(wire::HealthCheckResponse { status: status as i32 }))
    }
}
