//! Bodies in and out: limited JSON documents, streamed JSON lines, empty answers.

use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{StatusCode, header};
use serde_json::Value;

use super::error::{ApiError, Result};
use super::wire::{At, Wire};

/// The largest JSON document a request may carry. Docker allows more only for
/// tar streams; a container with 10,000 environment variables needs 1 MiB.
const MAX_DOCUMENT: usize = 8 << 20;

/// Reads a request document; an empty body is the empty document.
///
/// # Errors
/// `Invalid` for a body that is too large, no JSON, or of the wrong shape;
/// `NotImplemented` for an option Shoal does not have.
pub(crate) async fn document<T: Wire>(body: Body) -> Result<T> {
    parse(json(body).await?)
}

/// Reads a document that was taken from a body before.
///
/// # Errors
/// As [`document`].
pub(crate) fn parse<T: Wire>(value: Value) -> Result<T> {
    Ok(T::read_or_default(value, &At::ROOT)?)
}

/// Reads a request's JSON, null for an empty body.
///
/// # Errors
/// `Invalid` for a body that is too large or no JSON.
pub(crate) async fn json(body: Body) -> Result<Value> {
    let bytes = to_bytes(body, MAX_DOCUMENT)
        .await
        .map_err(|error| ApiError::invalid(format!("reading the request body: {error}")))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))
}

/// 200 with a document.
pub(crate) fn ok(value: &Value) -> Response {
    answer(StatusCode::OK, value)
}

/// 201 with a document.
pub(crate) fn created(value: &Value) -> Response {
    answer(StatusCode::CREATED, value)
}

/// Any status with a document.
pub(crate) fn answer(status: StatusCode, value: &Value) -> Response {
    let body = value.to_string() + "\n";
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 200 with no body.
pub(crate) fn empty() -> Response {
    StatusCode::OK.into_response()
}

/// 200 at once, then one JSON document per line as they come.
pub(crate) fn lines(stream: impl Stream<Item = Value> + Send + 'static) -> Response {
    let bytes = stream.map(|value| Ok::<_, Infallible>(Bytes::from(value.to_string() + "\r\n")));
    streamed("application/json", Body::from_stream(bytes))
}

/// 200 with a body that is sent as it is made.
pub(crate) fn streamed(content_type: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
