//! `shoal attach`, and `start -a`.

use anyhow::{Result, bail};
use clap::Args;

use super::super::exit::Exit;
use super::super::shell::Shell;
use super::run::{ExitCode, converse, read_keys};
use crate::client::{Query, segment};
use crate::terminal::{End, RawMode, Session, is_terminal};

/// Connect to a running container.
#[derive(Debug, Args)]
pub(in crate::cli) struct Attach {
    /// Do not pass our input on
    #[arg(long)]
    no_stdin: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Pass our signals on to the program
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    sig_proxy: bool,
    /// The container
    container: String,
}

impl Attach {
    /// Holds the conversation; ends with the program's exit code.
    pub(super) async fn run(self, shell: &Shell) -> Result<()> {
        let connection = Connection {
            container: &self.container,
            stdin: !self.no_stdin,
            keys: self.detach_keys.as_deref(),
            signals: self.sig_proxy,
        };
        let view = shell
            .client
            .get(&format!("/containers/{}/json", segment(&self.container)), &Query::new())
            .await?;
        if view["State"]["Running"] != true {
            bail!("You cannot attach to a stopped container, start it first");
        }
        if view["State"]["Paused"] == true {
            bail!("You cannot attach to a paused container, unpause it first");
        }
        let code = connection.hold(shell, &view, async || Ok(())).await?;
        if code == 0 { Ok(()) } else { Err(Exit(code).into()) }
    }
}

/// How to attach.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    /// The container.
    pub(super) container: &'a str,
    /// Pass our input on.
    pub(super) stdin: bool,
    /// Detach keys, if given.
    pub(super) keys: Option<&'a str>,
    /// Pass our signals on.
    pub(super) signals: bool,
}

impl Connection<'_> {
    /// Attaches, calls `begin`, and holds the conversation to its end.
    pub(super) async fn hold(
        &self,
        shell: &Shell,
        view: &serde_json::Value,
        begin: impl AsyncFnOnce() -> Result<()>,
    ) -> Result<u8> {
        let (tty, open) = (view["Config"]["Tty"] == true, view["Config"]["OpenStdin"] == true);
        let stdin = self.stdin && open;
        if tty && stdin && !is_terminal() {
            bail!("the input device is not a TTY");
        }
        let keys = read_keys(self.keys)?;
        let path = format!("/containers/{}", segment(self.container));
        let query = Query::new()
            .with("stream", 1)
            .with("stdout", 1)
            .with("stderr", 1)
            .with_flag("stdin", stdin)
            .with_some("detachKeys", self.keys);
        let stream = shell.client.hijack(&format!("{path}/attach"), &query, None).await?;
        let exit = ExitCode::begin(shell, &segment(self.container), "next-exit").await?;
        begin().await?;
        let raw = (tty && stdin).then(RawMode::enter).transpose()?;
        let session = Session {
            tty,
            stdin,
            stdout: true,
            stderr: true,
            detach: (tty && stdin).then_some(keys),
        };
        let resize = format!("{path}/resize");
        let signals = self.signals.then_some(self.container);
        let end = converse(shell, session, stream, &resize, signals).await;
        drop(raw);
        match end? {
            End::Detached => Ok(0),
            End::Closed => exit.code().await,
        }
    }
}
