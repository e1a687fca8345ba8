//! `shoal run`: create, attach, wait, start.

use std::future::pending;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures_util::StreamExt;
use http::Method;
use serde_json::Value;
use shoal_server::docker::DetachKeys;

use super::super::exit::{Exit, RunFailed, say};
use super::super::shell::Shell;
use super::create::make;
use super::document::Streams;
use super::options::Options;
use crate::client::{Duplex, Query, documents, empty};
use crate::print;
use crate::terminal::{End, RawMode, Session, forward_signals, is_terminal, resize_on_change};

/// Run a command in a new container.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal run --rm -it busybox sh                     a shell, gone when you leave it
  shoal run -d -p 8080:80 --name web nginx          a server, published on port 8080
  shoal run --rm -v ./data:/data -m 512m me/job     a job with a directory and a limit")]
pub(in crate::cli) struct Run {
    /// Leave it running and print its id
    #[arg(short, long)]
    detach: bool,
    /// Attach only these: stdin, stdout, stderr
    #[arg(short, long, value_name = "STREAM", value_parser = ["stdin", "stdout", "stderr"], ignore_case = true)]
    attach: Vec<String>,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Pass our signals on to the program
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    sig_proxy: bool,
    #[command(flatten)]
    options: Options,
}

impl Run {
    /// Runs the container; ends with the program's exit code.
    pub(in crate::cli) async fn run(self, shell: &Shell) -> Result<()> {
        let streams = self.streams()?;
        let id = make(shell, &self.options, streams).await.map_err(RunFailed)?;
        if self.detach {
            start(shell, &id).await.map_err(RunFailed)?;
            return Ok(print::line(id)?);
        }
        let code = self.attached(shell, &id, streams).await?;
        if code == 0 { Ok(()) } else { Err(Exit(code).into()) }
    }

    fn streams(&self) -> Result<Streams> {
        if self.detach {
            if !self.attach.is_empty() {
                bail!("Conflicting options: -a and -d");
            }
            return Ok(Streams::default());
        }
        if self.options.tty && self.options.interactive && !is_terminal() {
            bail!("the input device is not a TTY");
        }
        if self.attach.is_empty() {
            return Ok(Streams { stdin: self.options.interactive, stdout: true, stderr: true });
        }
        let has = |name: &str| self.attach.iter().any(|stream| stream.eq_ignore_ascii_case(name));
        Ok(Streams { stdin: has("stdin"), stdout: has("stdout"), stderr: has("stderr") })
    }

    async fn attached(&self, shell: &Shell, id: &str, streams: Streams) -> Result<u8> {
        let keys = read_keys(self.detach_keys.as_deref())?;
        let query = Query::new()
            .with("stream", 1)
            .with_flag("stdin", streams.stdin)
            .with_flag("stdout", streams.stdout)
            .with_flag("stderr", streams.stderr)
            .with_some("detachKeys", self.detach_keys.as_ref());
        let stream = shell
            .client
            .hijack(&format!("/containers/{id}/attach"), &query, None)
            .await
            .map_err(RunFailed)?;
        let condition = if self.options.rm { "removed" } else { "next-exit" };
        let exit = ExitCode::begin(shell, id, condition).await.map_err(RunFailed)?;
        let tty = self.options.tty;
        let raw = (tty && streams.stdin && is_terminal()).then(RawMode::enter).transpose()?;
        if let Err(error) = start(shell, id).await {
            drop(raw);
            return Err(RunFailed(error).into());
        }
        let session = Session {
            tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
            detach: (tty && streams.stdin).then_some(keys),
        };
        let resize = format!("/containers/{id}/resize");
        let end = converse(shell, session, stream, &resize, self.sig_proxy.then_some(id)).await;
        drop(raw);
        match end? {
            End::Detached => Ok(0),
            End::Closed => exit.code().await,
        }
    }
}

/// Reads detach keys; docker's own if none are given.
pub(super) fn read_keys(keys: Option<&str>) -> Result<DetachKeys> {
    match keys {
        None => Ok(DetachKeys::default()),
        Some(keys) => Ok(DetachKeys::parse(keys)?),
    }
}

/// Holds a conversation; beside it, the size of our terminal goes to the path
/// `resize` and our signals go to the container `signals`. A terminal's keys
/// are signals enough.
pub(super) async fn converse(
    shell: &Shell,
    session: Session,
    stream: Box<dyn Duplex>,
    resize: &str,
    signals: Option<&str>,
) -> Result<End> {
    let tty = session.tty;
    let resizing = async {
        if tty && is_terminal() {
            resize_on_change(&shell.client, resize).await?;
        }
        pending().await
    };
    let forwarding = async {
        if let Some(id) = signals.filter(|_| !tty) {
            forward_signals(&shell.client, id).await?;
        }
        pending().await
    };
    tokio::select! {
        end = session.hold(stream) => end,
        failed = resizing => failed,
        failed = forwarding => failed,
    }
}

async fn start(shell: &Shell, id: &str) -> Result<()> {
    shell.client.act(&format!("/containers/{id}/start"), &Query::new()).await.map(drop)
}

/// A wait for a container's end that has begun.
pub(super) struct ExitCode(Box<dyn futures_util::Stream<Item = Result<Value>> + Unpin>);

impl ExitCode {
    /// Begins; nothing that happens from now on is missed.
    pub(super) async fn begin(shell: &Shell, id: &str, condition: &str) -> Result<Self> {
        let query = Query::new().with("condition", condition);
        let path = format!("/containers/{id}/wait");
        let response = shell.client.send(Method::POST, &path, &query, empty(), &[]).await?;
        Ok(Self(Box::new(documents(response))))
    }

    /// The exit code, once there is one.
    pub(super) async fn code(mut self) -> Result<u8> {
        let answer = self.0.next().await.context("the daemon ended the wait")??;
        if let Some(message) = answer["Error"]["Message"].as_str() {
            say(&anyhow::anyhow!("{message}"));
            return Ok(125);
        }
        Ok(u8::try_from(answer["StatusCode"].as_i64().unwrap_or(125)).unwrap_or(255))
    }
}
