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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;

    use super::*;

    /// A client that reads answers in pieces loses output that comes in one piece with its
    /// answer: a session must be able to wait until the answer has gone out.
    #[tokio::test]
    async fn the_answer_goes_out_before_the_session_does_anything() {
        let answered = Arc::new(Notify::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tasks, heard) = (TaskTracker::new(), Arc::clone(&answered));
        let router = Router::new().fallback(move |request: Request| {
            let (tasks, heard) = (tasks.clone(), Arc::clone(&heard));
            async move {
                Hijack::of(request).start(&tasks, "text/plain", move |mut connection| async move {
                    heard.notified().await;
                    connection.write_all(b"output").await.expect("somebody listens");
                    connection.shutdown().await.expect("somebody listens");
                })
            }
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await });

        let mut client = TcpStream::connect(address).await.expect("a connection");
        let request = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        client.write_all(request).await.expect("somebody listens");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        answered.notify_one();
        let mut output = String::new();
        client.read_to_string(&mut output).await.expect("the session's words");
        assert_eq!(output, "output");
        server.abort();
    }
}
