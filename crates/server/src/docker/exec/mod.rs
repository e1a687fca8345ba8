//! `/exec`, and `/containers/{id}/exec`.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};
use shoal_engine::ClaimedExec;
use shoal_engine::domain::{CreateExec, ExecView, StartExec};
use shoal_model::Classify;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::body::{self, JsonBody};
use super::containers::{read_keys, read_size, session, size};
use super::error::Result;
use super::frames::{Channel, Framing};
use super::front::{App, SharedFront};
use super::hijack::{Duplex, Hijack};
use super::query::Query;
use super::version::ApiVersion;
use super::wire::{Words, wire};

wire!(
    /// `POST /containers/{id}/exec`.
    CreateDocument {
        cmd: Words = "Cmd",
        env: Vec<String> = "Env",
        user: String = "User",
        workdir: String = "WorkingDir",
        tty: bool = "Tty",
        attach_stdin: bool = "AttachStdin",
        attach_stdout: bool = "AttachStdout",
        attach_stderr: bool = "AttachStderr",
        privileged: bool = "Privileged",
        detach_keys: String = "DetachKeys",
        console_size: Vec<u64> = "ConsoleSize",
        detach: bool = "Detach",
        container: String = "Container",
    }
);

wire!(
    /// `POST /exec/{id}/start`.
    StartDocument {
        detach: bool = "Detach",
        tty: bool = "Tty",
        console_size: Vec<u64> = "ConsoleSize",
    }
);

/// The routes of execs.
pub(super) fn routes() -> Router<SharedFront> {
    Router::new()
        .route("/containers/{id}/exec", post(create))
        .route("/exec/{id}/start", post(start))
        .route("/exec/{id}/resize", post(resize))
        .route("/exec/{id}/json", get(inspect))
}

async fn create(State(front): App, Path(id): Path<String>, body: JsonBody) -> Result<Response> {
    let document: CreateDocument = body::document(body).await?;
    let exec = front.engine.execs().create(&id, document.into_domain()?)?;
    Ok(body::created(&json!({ "Id": exec.as_str() })))
}

impl CreateDocument {
    fn into_domain(self) -> Result<CreateExec> {
        // Older clients repeat the container and whether they mean to detach;
        // the path and the start say the same.
        let _ = (self.container, self.detach);
        let keys = Some(self.detach_keys.as_str()).filter(|keys| !keys.is_empty());
        Ok(CreateExec {
            detach_keys: read_keys(keys)?,
            console_size: read_size(&self.console_size)?,
            cmd: self.cmd.0,
            env: self.env,
            user: self.user,
            workdir: self.workdir,
            tty: self.tty,
            attach_stdin: self.attach_stdin,
            attach_stdout: self.attach_stdout,
            attach_stderr: self.attach_stderr,
            privileged: self.privileged,
        })
    }
}

async fn start(
    State(front): App,
    Extension(version): Extension<ApiVersion>,
    Path(id): Path<String>,
    mut request: Request,
) -> Result<Response> {
    let document: StartDocument = body::document(JsonBody::take(&mut request)).await?;
    let options = StartExec {
        detach: document.detach,
        tty: document.tty,
        console_size: read_size(&document.console_size)?,
    };
    let claimed = front.engine.execs().claim(&id, options)?;
    if options.detach {
        claimed.run().await?;
        return Ok(body::empty());
    }
    let framing = Framing::of(claimed.tty());
    let hijack = Hijack::without_body(request);
    Ok(hijack.start(&front.tasks, framing.media_type(version), move |connection| {
        run(claimed, framing, connection)
    }))
}

/// Runs the program once the client has its answer: output that came along with it would be
/// lost to clients that read answers in pieces. From here on a failure is output, too.
async fn run(claimed: ClaimedExec, framing: Framing, connection: Box<dyn Duplex>) {
    match claimed.run().await {
        Ok(Some(attached)) => session(attached, framing, connection).await,
        Ok(None) => {}
        Err(error) => tell(&error.chain(), framing, connection).await,
    }
}

/// Says why there is no program; the exec's exit code says it, too.
async fn tell(why: &str, framing: Framing, mut connection: impl AsyncWrite + Unpin) {
    let line = framing.wrap(Channel::Stdout, format!("{why}\r\n").into());
    if connection.write_all(&line).await.is_ok() {
        // The client may be gone; there is nobody to tell.
        let _ = connection.shutdown().await;
    }
}

async fn resize(State(front): App, Path(id): Path<String>, query: Query) -> Result<Response> {
    front.engine.execs().resize(&id, size(&query)?).await?;
    Ok(body::empty())
}

async fn inspect(State(front): App, Path(id): Path<String>) -> Result<Response> {
    Ok(body::ok(&render(&front.engine.execs().inspect(&id)?)))
}

fn render(view: &ExecView) -> Value {
    let ExecView {
        id,
        container_id,
        running,
        exit_code,
        pid,
        entrypoint,
        arguments,
        user,
        tty,
        privileged,
        open_stdin,
        open_stdout,
        open_stderr,
    } = view;
    json!({
        "ID": id.as_str(),
        "Running": running,
        "ExitCode": exit_code,
        "ProcessConfig": {
            "tty": tty,
            "entrypoint": entrypoint,
            "arguments": arguments,
            "privileged": privileged,
            "user": user,
        },
        "OpenStdin": open_stdin,
        "OpenStderr": open_stderr,
        "OpenStdout": open_stdout,
        "CanRemove": !running && exit_code.is_some(),
        "ContainerID": container_id.as_str(),
        "DetachKeys": "",
        "Pid": pid,
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn told(framing: Framing) -> Vec<u8> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        tell("no such program", framing, ours).await;
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.expect("the words, then the end");
        read
    }

    #[tokio::test]
    async fn why_nothing_runs_is_output() {
        assert_eq!(told(Framing::Raw).await, b"no such program\r\n");
        assert_eq!(told(Framing::Multiplexed).await, b"\x01\0\0\0\0\0\0\x11no such program\r\n");
    }
}
