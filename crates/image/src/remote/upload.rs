//! Uploads: mounted from another repository, whole, or as a stream whose
//! digest is known only at its end.

use bytes::Bytes;
use http::{Method, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use shoal_model::Digest;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    RemoteError, Session, error,
    session::{text, verb},
};

/// The bytes of an upload; a thread of the store sends them.
pub(crate) type Body = mpsc::Receiver<std::io::Result<Bytes>>;

/// The answer to a wish to upload.
pub(crate) enum Upload {
    /// The registry has taken the blob over from another of its repositories.
    Mounted,
    /// Bytes go here.
    To(String),
}

impl Session {
    /// Begins an upload; with `mount`, asks to take the blob over from a
    /// repository of the same registry instead.
    pub(crate) async fn begin_upload(
        &self,
        mount: Option<(&Digest, &str)>,
    ) -> Result<Upload, RemoteError> {
        let mut url = self.url("blobs/uploads/");
        if let Some((digest, from)) = mount {
            url = format!("{url}?mount={}&from={}", escape(digest.as_str()), escape(from));
        }
        let response = self
            .send(Method::POST, &url, |request| request.header(header::CONTENT_LENGTH, 0))
            .await?;
        match response.status().as_u16() {
            201 => Ok(Upload::Mounted),
            _ => self.location(&response).map(Upload::To),
        }
    }

    /// Uploads a blob of known digest and size.
    pub(crate) async fn upload(
        &self,
        to: &str,
        digest: &Digest,
        size: u64,
        body: Body,
    ) -> Result<(), RemoteError> {
        let url = with_digest(to, digest);
        let length =
            move |request: reqwest::RequestBuilder| request.header(header::CONTENT_LENGTH, size);
        self.stream(Method::PUT, &url, body, length).await.map(drop)
    }

    /// Uploads a stream; returns where to say its digest.
    pub(crate) async fn upload_stream(&self, to: &str, body: Body) -> Result<String, RemoteError> {
        let response = self.stream(Method::PATCH, to, body, |request| request).await?;
        self.location(&response)
    }

    /// Ends an upload whose bytes are there.
    pub(crate) async fn finish_upload(&self, to: &str, digest: &Digest) -> Result<(), RemoteError> {
        let url = with_digest(to, digest);
        let end = |request: reqwest::RequestBuilder| request.header(header::CONTENT_LENGTH, 0);
        self.send(Method::PUT, &url, end).await.map(drop)
    }

    /// Sends bytes that cannot be sent twice.
    async fn stream(
        &self,
        method: Method,
        url: &str,
        body: Body,
        build: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, RemoteError> {
        let verb = verb(&method);
        let mut request = build(self.client.request(method, url))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(reqwest::Body::wrap_stream(ReceiverStream::new(body)));
        if let Some(header) = self.authorization(url).await? {
            request = request.header(header::AUTHORIZATION, header);
        }
        let response =
            request.send().await.map_err(|error| error::unreachable(verb, url, &error))?;
        self.accept(response).await
    }

    /// Where the registry wants the next request; may be relative.
    fn location(&self, response: &reqwest::Response) -> Result<String, RemoteError> {
        let location = text(response.headers(), "location");
        let url = response.url().join(&location).ok().filter(|_| !location.is_empty());
        url.map(|url| url.to_string())
            .ok_or_else(|| RemoteError::Protocol("the registry gave no place to upload to".into()))
    }
}

fn with_digest(url: &str, digest: &Digest) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}digest={}", escape(digest.as_str()))
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
