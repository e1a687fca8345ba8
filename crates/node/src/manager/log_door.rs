//! The nodes' door to the log broker: they listen for questions and publish lines.

use std::sync::Arc;

use futures_util::stream::{BoxStream, unfold};
use shoal_model::SwarmNodeId;
use tonic::{Request, Response, Status, Streaming};

use super::Lead;
use super::gate::caller;
use crate::api::{LogLine, LogSource};
use crate::convert;
use crate::wire;

/// The nodes' door to the broker.
pub(super) struct Service(pub(super) Arc<Lead>);

#[tonic::async_trait]
impl wire::log_broker_server::LogBroker for Service {
    type ListenSubscriptionsStream = BoxStream<'static, Result<wire::SubscriptionMessage, Status>>;

    async fn listen_subscriptions(
        &self,
        request: Request<wire::ListenSubscriptionsRequest>,
    ) -> Result<Response<Self::ListenSubscriptionsStream>, Status> {
        let node = caller(&request)?;
        let listening = self.0.broker.listen(&self.0.consensus.local(), &node);
        let stop = self.0.stop.clone();
        let stream = unfold((listening, stop), |(mut listening, stop)| async move {
            tokio::select! {
                () = stop.cancelled() => None,
                question = listening.next() => {
                    question.map(|question| (Ok(question), (listening, stop)))
                }
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn publish_logs(
        &self,
        request: Request<Streaming<wire::PublishLogsMessage>>,
    ) -> Result<Response<wire::PublishLogsResponse>, Status> {
        let node = caller(&request)?;
        let mut messages = request.into_inner();
        let mut current: Option<String> = None;
        let outcome = loop {
            let message = tokio::select! {
                () = self.0.stop.cancelled() => break Err(Status::aborted("stopping")),
                message = messages.message() => message,
            };
            match message {
                Ok(Some(message)) => {
                    let closing = message.close;
                    current = Some(message.subscription_id.clone());
                    if let Err(status) = self.take(&node, message).await {
                        break Err(status);
                    }
                    if closing {
                        break Ok(());
                    }
                }
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        if let Some(id) = current {
            let gap =
                outcome.as_ref().err().map(|_| format!("node {node} disconnected unexpectedly"));
            self.0.broker.node_done(&id, &node, gap);
        }
        outcome.map(|()| Response::new(wire::PublishLogsResponse {}))
    }
}

impl Service {
    /// Hands lines to the reader, as fast as it takes them.
    async fn take(
        &self,
        node: &SwarmNodeId,
        message: wire::PublishLogsMessage,
    ) -> Result<(), Status> {
        let wire::PublishLogsMessage { subscription_id, messages, close: _ } = message;
        let Some(reader) = self.0.broker.reader(&subscription_id, node) else {
            return Err(Status::not_found("unknown log subscription"));
        };
        for message in messages {
            let Some(line) = line_from_wire(node, message)? else { continue };
            if !reader.send(line).await {
                return Err(Status::not_found("log subscription has ended"));
            }
        }
        Ok(())
    }
}

/// A line from a node, which may speak for itself only; `None` for a stream nobody knows.
fn line_from_wire(
    node: &SwarmNodeId,
    message: wire::LogMessage,
) -> Result<Option<LogLine>, Status> {
    let wire::LogMessage { context, timestamp, stream, data, attrs } = message;
    let wire::LogContext { service_id, node_id, task_id } = context.unwrap_or_default();
    if node_id != node.as_str() {
        return Err(Status::permission_denied("cannot publish logs of another node"));
    }
    let source = match wire::LogStream::try_from(stream) {
        Ok(wire::LogStream::Stdout) => LogSource::Stdout,
        Ok(wire::LogStream::Stderr) => LogSource::Stderr,
        Ok(wire::LogStream::Unknown) | Err(_) => return Ok(None),
    };
    let Ok(task_id) = task_id.parse() else { return Ok(None) };
    Ok(Some(LogLine {
        service_id: service_id.parse().ok(),
        node_id: node.clone(),
        task_id,
        timestamp: timestamp.map(convert::timestamp_from_wire),
        source,
        data,
        attrs: attrs.into_iter().map(|wire::LogAttr { key, value }| (key, value)).collect(),
    }))
}
