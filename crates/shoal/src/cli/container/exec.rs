//! `shoal exec`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::super::exit::Exit;
use super::super::shell::Shell;
use super::run::{converse, read_keys};
use super::values::environment;
use crate::client::{Query, segment};
use crate::print::words::text;
use crate::terminal::{RawMode, Session, is_terminal, size};

/// Run another command in a running container.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal exec -it web sh
  shoal exec -e DEBUG=1 -w /srv web ./check")]
pub(in crate::cli) struct Exec {
    /// Leave it running
    #[arg(short, long)]
    detach: bool,
    /// Keep its standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Set an environment variable, or pass ours on
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory
    #[arg(short, long, value_name = "DIRECTORY")]
    workdir: Option<String>,
    /// Who runs it
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Give it nearly everything root has
    #[arg(long)]
    privileged: bool,
    /// Keys that leave the command running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// The container
    container: String,
    /// Program and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

impl Exec {
    /// Runs the command; ends with its exit code.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        if self.tty && self.interactive && !self.detach && !is_terminal() {
            bail!("the input device is not a TTY");
        }
        let keys = read_keys(self.detach_keys.as_deref())?;
        let id = self.create(shell).await?;
        let start = json!({ "Detach": self.detach, "Tty": self.tty });
        if self.detach {
            return shell
                .client
                .post(&format!("/exec/{id}/start"), &Query::new(), &start)
                .await
                .map(drop);
        }
        let stream =
            shell.client.hijack(&format!("/exec/{id}/start"), &Query::new(), Some(&start)).await?;
        let raw = (self.tty && self.interactive).then(RawMode::enter).transpose()?;
        let session = Session {
            tty: self.tty,
            stdin: self.interactive,
            stdout: true,
            stderr: true,
            detach: (self.tty && self.interactive).then_some(keys),
        };
        let end = converse(shell, session, stream, &format!("/exec/{id}/resize"), None).await;
        drop(raw);
        end?;
        let view = shell.client.get(&format!("/exec/{id}/json"), &Query::new()).await?;
        match view["ExitCode"].as_i64() {
            Some(0) => Ok(()),
            Some(code) => Err(Exit(u8::try_from(code).unwrap_or(255)).into()),
            // It still runs: the person left it.
            None => Ok(()),
        }
    }

    async fn create(&self, shell: &Shell) -> Result<String> {
        let mut document = json!({
            "Cmd": self.command,
            "Env": environment(&self.env_file, &self.env)?,
            "User": self.user.as_deref().unwrap_or_default(),
            "WorkingDir": self.workdir.as_deref().unwrap_or_default(),
            "Tty": self.tty,
            "AttachStdin": self.interactive && !self.detach,
            "AttachStdout": !self.detach,
            "AttachStderr": !self.detach,
            "Privileged": self.privileged,
            "DetachKeys": self.detach_keys.as_deref().unwrap_or_default(),
        });
        if let Some((rows, columns)) = size().filter(|_| self.tty) {
            document["ConsoleSize"] = json!([rows, columns]);
        }
        let path = format!("/containers/{}/exec", segment(&self.container));
        let created = shell.client.post(&path, &Query::new(), &document).await?;
        Ok(text(&created, "Id").to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixListener;

    use super::*;
    use crate::client::{Address, Client};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        exec: Exec,
    }

    /// Answers one request; gives its first line.
    async fn answer(listener: &UnixListener, head: &str, body: &[u8]) -> String {
        let (stream, _) = listener.accept().await.expect("a request");
        let mut stream = BufReader::new(stream);
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
        stream.read_line(&mut first).await.expect("a first line");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await.expect("a header");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        stream.read_exact(&mut vec![0; length]).await.expect("a body");
        let head = format!("HTTP/1.1 {head}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("an answer");
        stream.write_all(body).await.expect("an answer");
        first.trim_end().to_owned()
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_ends_with_the_execs_code() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let shell = Shell { client: Client::new(Address::Unix(socket)) };
        let line = Line::try_parse_from(["exec", "c", "nosuch"]).expect("a line");
        let daemon = async {
            let id = br#"{"Id":"e"}"#;
            let created = answer(&listener, "201 Created\r\nContent-Length: 10", id).await;
            let upgrade = "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp";
            // A frame of standard error.
            let started = answer(&listener, upgrade, b"\x02\0\0\0\0\0\0\x03no\n").await;
            let view = br#"{"ExitCode":127}"#;
            let seen = answer(&listener, "200 OK\r\nContent-Length: 16", view).await;
            [created, started, seen]
        };
        let (asked, done) = tokio::join!(daemon, line.exec.run(&shell));
        assert_eq!(done.expect_err("no such program").downcast_ref(), Some(&Exit(127)));
        assert_eq!(
            asked,
            [
                "POST /v1.50/containers/c/exec HTTP/1.1",
                "POST /v1.50/exec/e/start HTTP/1.1",
                "GET /v1.50/exec/e/json HTTP/1.1"
            ]
        );
    }
}
