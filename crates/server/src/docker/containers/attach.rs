//! `POST /containers/{id}/attach`, and the session attach and exec share.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use shoal_engine::domain::AttachOptions;
use shoal_engine::{Attached, Input, Output, OutputStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::detach::DetachKeys;
use super::super::error::{ApiError, Result};
use super::super::frames::{Channel, Framing};
use super::super::front::App;
use super::super::hijack::{Duplex, Hijack};
use super::super::query::Query;
use super::super::version::ApiVersion;

/// What is read from a client at once: one full pipe.
const INPUT_BYTES: usize = 64 << 10;

/// Connects the client to a container's process.
pub(crate) async fn attach(
    State(front): App,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    query: Query,
    request: Request,
) -> Result<Response> {
    let options = AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        logs: query.flag("logs"),
        stream: query.flag("stream"),
        detach_keys: read_keys(query.get("detachKeys"))?,
    };
    let attached = front.engine.containers().attach(&id, options).await?;
    let framing = Framing::of(attached.tty);
    let media_type = framing.media_type(version);
    Ok(Hijack::of(request)
        .start(&front.tasks, media_type, move |connection| session(attached, framing, connection)))
}

/// `GET /containers/{id}/attach/ws`.
pub(crate) async fn websocket() -> Result<Response> {
    Err(ApiError::unsupported("attaching by websocket"))
}

/// Reads detach keys; none given leaves the engine's own.
///
/// # Errors
/// `Invalid` with Docker's text.
pub(crate) fn read_keys(keys: Option<&str>) -> Result<Option<Vec<u8>>> {
    let keys = keys.map(DetachKeys::parse).transpose()?;
    Ok(keys.map(|keys| keys.bytes().to_vec()))
}

/// Copies both ways until the process's output ends. The end of the client's
/// input closes the process's, while its output goes on; a client that leaves
/// altogether ends the session.
pub(crate) async fn session(attached: Attached, framing: Framing, connection: Box<dyn Duplex>) {
    let Attached { tty: _, output, input } = attached;
    let (reader, writer) = tokio::io::split(connection);
    let sending = send(output, writer, framing);
    let receiving = receive(reader, input);
    tokio::pin!(sending, receiving);
    tokio::select! {
        () = &mut sending => {}
        () = &mut receiving => sending.await,
    }
}

async fn send(mut output: Output, mut writer: impl AsyncWrite + Unpin, framing: Framing) {
    while let Some(chunk) = output.next().await {
        let channel = match chunk.stream {
            OutputStream::Stdout => Channel::Stdout,
            OutputStream::Stderr => Channel::Stderr,
        };
        let bytes = framing.wrap(channel, chunk.data);
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // The client may be gone; there is nobody to tell.
    let _ = writer.shutdown().await;
}

async fn receive(mut reader: impl AsyncRead + Unpin, mut input: Option<Input>) {
    let mut buffer = bytes::BytesMut::with_capacity(INPUT_BYTES);
    loop {
        buffer.reserve(INPUT_BYTES);
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let data = buffer.split().freeze();
        if let Some(open) = &mut input
            && open.write(data).await.is_err()
        {
            input = None;
        }
    }
    if let Some(input) = input {
        input.close();
    }
}
