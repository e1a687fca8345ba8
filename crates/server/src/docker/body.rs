//! Bodies in and out: limited JSON documents, streamed JSON lines, empty answers.

use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
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

/// What a document's media type is, in requests and in answers.
const JSON: &str = "application/json";

/// The body of a request for a JSON document, and what its client calls it.
#[derive(Debug)]
pub(crate) struct JsonBody {
    content_type: String,
    body: Body,
}

impl JsonBody {
    /// Takes the body out of a request.
    pub(crate) fn take(request: &mut Request) -> Self {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        Self {
            content_type: content_type
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .unwrap_or_default(),
            body: std::mem::take(request.body_mut()),
        }
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Infallible;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self::take(&mut request))
    }
}

/// Reads a request document; an empty body is the empty document.
///
/// # Errors
/// `Invalid` for a body that is too large, not called JSON, no JSON, or of the
/// wrong shape; `NotImplemented` for an option Shoal does not have.
pub(crate) async fn document<T: Wire>(body: JsonBody) -> Result<T> {
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
/// `Invalid` for a body that is too large, not called JSON, or no JSON.
pub(crate) async fn json(body: JsonBody) -> Result<Value> {
    let JsonBody { content_type, body } = body;
    let bytes = to_bytes(body, MAX_DOCUMENT)
        .await
        .map_err(|error| ApiError::invalid(format!("reading the request body: {error}")))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    demand_json(&content_type)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))
}

/// A page of any site may post forms and plain text to a port of this machine,
/// but not JSON unless the port agrees first. moby's `CheckForJSON`, its words.
fn demand_json(content_type: &str) -> Result<()> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.is_empty() {
        let text = format!("malformed Content-Type header ({content_type}): mime: no media type");
        return Err(ApiError::invalid(text));
    }
    if !media_type.eq_ignore_ascii_case(JSON) {
        return Err(ApiError::invalid(format!(
            "unsupported Content-Type header ({content_type}): must be '{JSON}'"
        )));
    }
    Ok(())
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
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
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
    streamed(JSON, Body::from_stream(bytes))
}

/// 200 with a body that is sent as it is made.
pub(crate) fn streamed(content_type: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn read(content_type: Option<&str>, text: &'static str) -> Result<Value> {
        let mut request = Request::new(Body::from(text));
        if let Some(content_type) = content_type {
            let value = content_type.parse().expect("a header");
            request.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        json(JsonBody::take(&mut request)).await
    }

    #[tokio::test]
    async fn what_is_called_json_is_read() {
        for called in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(read(Some(called), r#"{"A":1}"#).await.expect(called), json!({"A": 1}));
        }
    }

    #[tokio::test]
    async fn without_a_document_nothing_needs_to_be_called_json() {
        for called in [None, Some("text/plain")] {
            assert_eq!(read(called, " \r\n").await.expect("nothing"), Value::Null);
        }
    }

    #[tokio::test]
    async fn what_any_page_may_send_is_refused() {
        for called in ["text/plain", "application/x-www-form-urlencoded", "a; application/json"] {
            let error = read(Some(called), "{}").await.expect_err(called);
            let want =
                format!("unsupported Content-Type header ({called}): must be 'application/json'");
            assert_eq!(error.message(), want);
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        }
        let error = read(None, "{}").await.expect_err("no type");
        assert_eq!(error.message(), "malformed Content-Type header (): mime: no media type");
    }
}
