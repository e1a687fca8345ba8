//! Connections that stop being HTTP: attach and exec.
//!
//! A client that asks for an upgrade gets 101 and the bare connection, both
//! ways, with half-close. One that does not (plain HTTP clients) gets the
//! output as the body of a 200 and its own body as the input.

use std::future::Future;
use std::io;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::io::ReaderStream;
use tokio_util::task::TaskTracker;

/// What a piece of the connection's buffer holds at most, when there was no
/// upgrade: one full pipe.
const BUFFER: usize = 64 << 10;

/// Both directions of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to be taken over once the request was accepted.
pub(crate) struct Hijack {
    upgrade: Option<OnUpgrade>,
    body: Body,
}

impl Hijack {
    /// Takes a request apart; its body is the client's input if it does not
    /// ask for an upgrade.
    pub(crate) fn of(mut request: Request) -> Self {
        let upgrade = wants_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
        Self { upgrade, body: request.into_body() }
    }

    /// The same for a request whose body was read already.
    pub(crate) fn without_body(mut request: Request) -> Self {
        *request.body_mut() = Body::empty();
        Self::of(request)
    }

    /// Answers, and runs `session` on the connection.
    pub(crate) fn start<F, S>(
        self,
        tasks: &TaskTracker,
        media_type: &'static str,
        session: F,
    ) -> Response
    where
        F: FnOnce(Box<dyn Duplex>) -> S + Send + 'static,
        S: Future<Output = ()> + Send,
    {
        match self.upgrade {
            Some(upgrade) => {
                tasks.spawn(async move {
                    match upgrade.await {
                        Ok(connection) => session(Box::new(TokioIo::new(connection))).await,
                        Err(error) => tracing::debug!(%error, "the client left before the upgrade"),
                    }
                });
                switching(media_type)
            }
            None => plain(tasks, media_type, self.body, session),
        }
    }
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

fn switching(media_type: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "tcp"),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

fn plain<F, S>(tasks: &TaskTracker, media_type: &'static str, body: Body, session: F) -> Response
where
    F: FnOnce(Box<dyn Duplex>) -> S + Send + 'static,
    S: Future<Output = ()> + Send,
{
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (output, input) = tokio::io::split(theirs);
    tasks.spawn(async move {
        let forward = async {
            // The session ends when its output does, whatever became of the input.
            let _ = copy_body(body, input).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = session(Box::new(ours)) => {}
            () = forward => {}
        }
    });
    let body = Body::from_stream(ReaderStream::with_capacity(output, BUFFER));
    ([(header::CONTENT_TYPE, media_type)], body).into_response()
}

async fn copy_body(body: Body, mut input: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece: Bytes = piece.map_err(io::Error::other)?;
        input.write_all(&piece).await?;
    }
    input.shutdown().await
}
