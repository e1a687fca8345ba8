//! The gRPC server on the cluster port.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use super::gate::GateLayer;
use super::{Lead, ca, dispatcher, log_door, refusals};
use crate::config::MAX_MESSAGE_BYTES;
use crate::tls::Accepted;
use crate::wire::c_a_server::CAServer;
use crate::wire::dispatcher_server::DispatcherServer;
use crate::wire::health_server::HealthServer;
use crate::wire::log_broker_server::LogBrokerServer;
use crate::wire::node_c_a_server::NodeCAServer;
use crate::wire::resource_allocator_server::ResourceAllocatorServer;

/// Calls in flight on one connection: a worker has a handful.
const MAX_STREAMS: u32 = 128;
/// Header bytes of one call: gRPC needs a few hundred.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Largest message anybody may send before showing a certificate: a request for one.
const MAX_ANONYMOUS_BYTES: usize = 64 << 10;
/// Silence after which a connection is probed, and the time it has to answer.
const KEEPALIVE: Duration = Duration::from_secs(10);

pub(super) async fn run(lead: Arc<Lead>, accepted: mpsc::Receiver<std::io::Result<Accepted>>) {
    let dispatcher = DispatcherServer::new(dispatcher::Service(Arc::clone(&lead)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(usize::MAX);
    let logs = LogBrokerServer::new(log_door::Service(Arc::clone(&lead)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let node_ca = NodeCAServer::new(ca::Service(Arc::clone(&lead)))
        .max_decoding_message_size(MAX_ANONYMOUS_BYTES);
    let root = CAServer::new(ca::Service(Arc::clone(&lead)))
        .max_decoding_message_size(MAX_ANONYMOUS_BYTES);
    let stop = lead.stop.clone();
    let served = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .http2_max_header_list_size(Some(MAX_HEADER_BYTES))
        .max_concurrent_streams(Some(MAX_STREAMS))
        .layer(GateLayer(Arc::clone(&lead)))
        .add_service(root)
        .add_service(node_ca)
        .add_service(dispatcher)
        .add_service(logs)
        .add_service(ResourceAllocatorServer::new(refusals::NoAllocator))
        .add_service(HealthServer::new(refusals::Alive))
        .serve_with_incoming_shutdown(ReceiverStream::new(accepted), stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "the cluster port's server ended");
    }
}
