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
