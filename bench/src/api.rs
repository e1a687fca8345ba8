//! The Docker Engine API over a unix socket, just enough to measure it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// A daemon's API. One kept connection: what is measured is the daemon.
pub(crate) struct Api {
    socket: PathBuf,
    sender: tokio::sync::Mutex<SendRequest<Full<Bytes>>>,
}

impl Api {
    /// Connects.
    pub(crate) async fn connect(socket: PathBuf) -> Result<Self> {
        let sender = tokio::sync::Mutex::new(open(&socket).await?);
        Ok(Self { socket, sender })
    }

    /// One request with a JSON body and a JSON answer.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = request(method, path, "application/json", body)?;
        let response = {
            let mut sender = self.sender.lock().await;
            if sender.ready().await.is_err() {
                *sender = open(&self.socket).await?;
            }
            sender.send_request(request).await
        };
        let response = response.with_context(|| format!("no answer to {path}"))?;
        read(path, response).await
    }

    /// One request with a tar, on a connection of its own.
    pub(crate) async fn upload(&self, path: &str, tar: Vec<u8>) -> Result<Value> {
        let request = request(Method::POST, path, "application/x-tar", tar.into())?;
        let response = open(&self.socket).await?.send_request(request).await?;
        read(path, response).await
    }

    /// Takes over the connection and reads what comes until it ends.
    pub(crate) async fn drain(&self, path: &str, body: &Value) -> Result<Bytes> {
        let mut request = request(Method::POST, path, "application/json", body.to_string().into())?;
        let headers = request.headers_mut();
        headers.insert("connection", "Upgrade".parse()?);
        headers.insert("upgrade", "tcp".parse()?);
        let response = open(&self.socket).await?.send_request(request).await?;
        let upgraded = hyper::upgrade::on(response).await.context("no stream")?;
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut TokioIo::new(upgraded), &mut bytes).await?;
        Ok(bytes.into())
    }
}

async fn open(socket: &PathBuf) -> Result<SendRequest<Full<Bytes>>> {
    let stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("cannot connect to {}", socket.display()))?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender or the daemon, whichever goes first.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

fn request(method: Method, path: &str, kind: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
    Request::builder()
        .method(method)
        .uri(format!("/v1.41{path}"))
        .header("host", "docker")
        .header("content-type", kind)
        // An anonymous registry wants it to be there.
        .header("x-registry-auth", "e30=")
        .body(Full::new(body))
        .context("no request")
}

async fn read(path: &str, response: hyper::Response<Incoming>) -> Result<Value> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!("{path}: {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    let text = String::from_utf8_lossy(&body);
    if let Some(line) = text.lines().find(|line| line.contains("\"errorDetail\"")) {
        bail!("{path}: {line}");
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text.into_owned())))
}
