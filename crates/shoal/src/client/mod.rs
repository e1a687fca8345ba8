//! The command line's view of a daemon: requests, streams, taken-over connections.
//!
//! Documents stay `serde_json::Value`: what `inspect` prints is what the
//! daemon said, and a template may name any field of it. Nothing here knows
//! what the documents mean.

mod address;
mod answer;
mod connect;
mod credential_helper;
mod credentials;
mod docker_config;
mod frames;
mod query;
mod upload;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;

pub(crate) use address::Address;
pub(crate) use answer::{documents, pieces};
pub(crate) use connect::Duplex;
pub(crate) use credentials::Credentials;
pub(crate) use docker_config::DockerConfig;
pub(crate) use frames::{Frame, FrameReader, Source};
pub(crate) use query::{Filters, Query, segment};
pub(crate) use upload::{copy, stream_body};

use answer::{read_document, refuse};

/// The version of the API this command line speaks.
const API: &str = "/v1.50";

/// What a request carries.
pub(crate) type RequestBody = BoxBody<Bytes, std::io::Error>;

/// A daemon that answered with an error.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// What the daemon said.
    pub(crate) message: String,
}

/// Whether a daemon refused with that status.
pub(crate) fn refused_with(error: &anyhow::Error, status: StatusCode) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.status == status)
}

/// Talks to one daemon; every request has its own connection, so that a
/// stream never holds up another request.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: Address,
}

impl Client {
    /// A client for the daemon at `address`. Nothing is sent yet.
    pub(crate) fn new(address: Address) -> Self {
        Self { address }
    }

    /// The daemon's address.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Gets a document.
    ///
    /// # Errors
    /// [`Refusal`] when the daemon refused; otherwise the connection's error.
    pub(crate) async fn get(&self, path: &str, query: &Query) -> Result<Value> {
        read_document(self.send(Method::GET, path, query, empty(), &[]).await?).await
    }

    /// Gets a document, with headers in the request.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn get_with(
        &self,
        path: &str,
        query: &Query,
        headers: &[(&str, &str)],
    ) -> Result<Value> {
        read_document(self.send(Method::GET, path, query, empty(), headers).await?).await
    }

    /// Posts a document and gets one back (null for an empty answer).
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post(&self, path: &str, query: &Query, body: &Value) -> Result<Value> {
        read_document(self.send(Method::POST, path, query, document(body), &[]).await?).await
    }

    /// Posts a document, with headers in the request.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post_with(
        &self,
        path: &str,
        query: &Query,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Result<Value> {
        read_document(self.send(Method::POST, path, query, document(body), headers).await?).await
    }

    /// Posts without a document.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn act(&self, path: &str, query: &Query) -> Result<Value> {
        read_document(self.send(Method::POST, path, query, empty(), &[]).await?).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn delete(&self, path: &str, query: &Query) -> Result<Value> {
        read_document(self.send(Method::DELETE, path, query, empty(), &[]).await?).await
    }

    /// Sends a request and gives the answer's head and unread body.
    ///
    /// # Errors
    /// [`Refusal`] when the daemon refused; otherwise the connection's error.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        body: RequestBody,
        headers: &[(&str, &str)],
    ) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{API}{path}{query}"))
            .header(header::HOST, self.address.authority())
            .header(header::USER_AGENT, concat!("shoal/", env!("CARGO_PKG_VERSION")));
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).context("building the request")?;
        let mut sender = connect::open(&self.address).await?;
        let response = sender
            .send_request(request)
            .await
            .with_context(|| format!("talking to the daemon at {}", self.address))?;
        refuse(response).await
    }

    /// Sends a request and takes the connection over.
    ///
    /// # Errors
    /// [`Refusal`] when the daemon refused; otherwise the connection's error.
    pub(crate) async fn hijack(
        &self,
        path: &str,
        query: &Query,
        body: Option<&Value>,
    ) -> Result<Box<dyn Duplex>> {
        let upgrade = [("connection", "Upgrade"), ("upgrade", "tcp")];
        let body = body.map_or_else(empty, document);
        let response = self.send(Method::POST, path, query, body, &upgrade).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(anyhow!("the daemon answered {} instead of a stream", response.status()));
        }
        let upgraded = hyper::upgrade::on(response).await.context("taking the connection over")?;
        Ok(Box::new(hyper_util::rt::TokioIo::new(upgraded)))
    }
}

/// A body without bytes.
pub(crate) fn empty() -> RequestBody {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed()
}

fn document(value: &Value) -> RequestBody {
    Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed()
}
