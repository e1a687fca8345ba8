//! What a handler answers when it fails: a status and Docker's `{"message": …}`.
//!
//! This file has the one table from the closed set of error kinds to HTTP
//! statuses. Handlers never choose a status of their own.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;
use shoal_model::{Classify, Kind};

/// A failed request: the kind of failure and the text the client shows.
#[derive(Debug)]
pub(crate) struct ApiError {
    kind: Kind,
    message: String,
}

/// What every handler returns.
pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// An error of `kind` with the whole text for the client.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The request itself is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// The request is understood, but asks for something Shoal has not.
    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotImplemented, format!("{what} is not supported"))
    }

    /// The text for the client.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The kind of failure.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The HTTP status of this error.
    pub(crate) fn status(&self) -> StatusCode {
        status_of(self.kind)
    }
}

/// The one table from error kinds to statuses (Docker's `httpstatus` package
/// maps its own classes the same way).
fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl<E: Classify> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), message: error.chain() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.kind == Kind::Internal {
            tracing::warn!(error = %self.message, "request failed");
        } else {
            tracing::debug!(status = %self.status().as_u16(), error = %self.message, "request refused");
        }
        if self.kind == Kind::NotModified {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let body = json!({ "message": self.message }).to_string() + "\n";
        (self.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("pulling busybox")]
    struct Outer(#[source] std::io::Error);

    impl Classify for Outer {
        fn kind(&self) -> Kind {
            Kind::Unavailable
        }
    }

    #[test]
    fn an_error_tells_its_whole_chain_once() {
        let error = ApiError::from(Outer(std::io::Error::other("connection refused")));
        assert_eq!(error.message(), "pulling busybox: connection refused");
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
