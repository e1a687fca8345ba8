//! Running other programs, and saying so.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A program about to run in the root of the workspace.
pub(crate) struct Run {
    command: Command,
}

/// `cargo` with these arguments.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Run {
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    command(cargo).args(args)
}

/// Any program.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Run {
    let mut command = Command::new(program);
    command.current_dir(workspace());
    Run { command }
}

impl Run {
    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with our own terminal; fails when it does.
    pub(crate) fn run(mut self) -> Result<()> {
        let text = self.text();
        eprintln!("+ {text}");
        let status = self.command.status().with_context(|| format!("cannot run {text}"))?;
        if !status.success() {
            bail!("{text}: {status}");
        }
        Ok(())
    }

    /// Runs it and gives what it printed on its standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let text = self.text();
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {text}"))?;
        if !output.status.success() {
            bail!("{text}: {}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("{text} printed no text"))
    }

    fn text(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}
