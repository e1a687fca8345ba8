//! The command line's view of a daemon: requests, streams, taken-over connections.
//!
//! Documents stay `serde_json::Value`: what `inspect` prints is what the
//! daemon said, and a template may name any field of it. Nothing here knows
//! what the documents mean.

mod address;
mod connect;
mod frames;
mod query;
mod registry_auth;
mod upload;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full};
use hyper::body::Incoming;
use serde_json::Value;

pub(crate) use address::Address;
pub(crate) use connect::Duplex;
pub(crate) use frames::{Frame, FrameReader, Source};
pub(crate) use query::{Filters, Query, segment};
pub(crate) use registry_auth::{Credentials, DockerConfig};
pub(crate) use upload::stream_body;

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

    /// Posts a document and gets one back (null for an empty answer).
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn post(&self, path: &str, query: &Query, body: &Value) -> Result<Value> {
        read_document(self.send(Method::POST, path, query, document(body), &[]).await?).await
    }

    /// Posts a document with headers.
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

    /// Sends headers without a document, and gets one back.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) async fn document(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        headers: &[(&str, &str)],
    ) -> Result<Value> {
        read_document(self.send(method, path, query, empty(), headers).await?).await
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
        let request = self.request(method, path, query, body, headers)?;
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

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        body: RequestBody,
        headers: &[(&str, &str)],
    ) -> Result<Request<RequestBody>> {
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
        request.body(body).context("building the request")
    }
}

/// A body without bytes.
pub(crate) fn empty() -> RequestBody {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed()
}

fn document(value: &Value) -> RequestBody {
    Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed()
}

async fn refuse(response: Response<Incoming>) -> Result<Response<Incoming>> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return Ok(response);
    }
    let bytes = response.into_body().collect().await.context("reading the answer")?.to_bytes();
    let message = serde_json::from_slice::<Value>(&bytes)
        .ok()
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_owned());
    Err(Refusal { status, message }.into())
}

async fn read_document(response: Response<Incoming>) -> Result<Value> {
    let bytes = response.into_body().collect().await.context("reading the answer")?.to_bytes();
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).context("reading the answer")
}

/// The bytes of an answer as they come.
pub(crate) fn pieces(response: Response<Incoming>) -> impl Stream<Item = Result<Bytes>> + Unpin {
    let stream = BodyStream::new(response.into_body());
    Box::pin(stream.filter_map(|piece| async move {
        match piece {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(anyhow!(error).context("reading the answer"))),
        }
    }))
}

/// The JSON documents of an answer as they come.
pub(crate) fn documents(response: Response<Incoming>) -> impl Stream<Item = Result<Value>> + Unpin {
    let source = (pieces(response), Vec::new(), false);
    Box::pin(futures_util::stream::unfold(source, |(mut pieces, mut held, done)| async move {
        if done {
            return None;
        }
        loop {
            if let Some(next) = next_document(&mut held) {
                return Some((next, (pieces, held, false)));
            }
            match pieces.next().await {
                Some(Ok(piece)) => held.extend_from_slice(&piece),
                Some(Err(error)) => return Some((Err(error), (pieces, held, true))),
                None => return None,
            }
        }
    }))
}

/// Takes the first whole document out of `held`.
fn next_document(held: &mut Vec<u8>) -> Option<Result<Value>> {
    let mut reader = serde_json::Deserializer::from_slice(held).into_iter::<Value>();
    let next = reader.next()?;
    let read = reader.byte_offset();
    match next {
        Ok(value) => {
            held.drain(..read);
            Some(Ok(value))
        }
        Err(error) if error.is_eof() => None,
        Err(error) => {
            held.clear();
            Some(Err(anyhow!(error).context("reading the answer")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_where_they_end() {
        let mut held = b"{\"a\":1}\r\n{\"b\":".to_vec();
        let first = next_document(&mut held).expect("one").expect("a document");
        assert_eq!(first["a"], 1);
        assert!(next_document(&mut held).is_none());
        held.extend_from_slice(b"2}\n");
        assert_eq!(next_document(&mut held).expect("one").expect("a document")["b"], 2);
        held.extend_from_slice(b"}{");
        assert!(next_document(&mut held).expect("one").is_err());
    }
}
