//! Running a client and looking at what it said.

use std::{
    ffi::OsStr,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A program about to run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    stdin: Option<Vec<u8>>,
}

/// What it said and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub line: String,
    /// The exit code; 128 + n after signal n.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// The folder with `shoal` and `shoal-shim`.
///
/// # Panics
/// When `SHOAL_BIN_DIR` is not set: `cargo xtask test` sets it.
pub fn shoal_binary() -> PathBuf {
    let dir =
        std::env::var_os("SHOAL_BIN_DIR").expect("SHOAL_BIN_DIR is set by `cargo xtask test`");
    PathBuf::from(dir).join("shoal")
}

impl Program {
    /// A program by name or path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { command: Command::new(program), stdin: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Adds one argument, a path.
    #[must_use]
    pub fn arg_path(mut self, path: &std::path::Path) -> Self {
        self.command.arg(path);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The command itself, for tests that start it and look on.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(mut self) -> Output {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let writer = self.stdin.take().zip(child.stdin.take()).map(|(bytes, mut pipe)| {
            // On a thread of its own: it may write before it has read all.
            std::thread::spawn(move || pipe.write_all(&bytes))
        });
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("{line}: {error}"));
        if let Some(writer) = writer {
            // A program may end without reading all it was given.
            let _ = writer.join();
        }
        let code = output.status.code().unwrap_or_else(|| {
            128 + std::os::unix::process::ExitStatusExt::signal(&output.status).unwrap_or(0)
        });
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Output { line, code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Output {
    /// Standard output without its last line end.
    ///
    /// # Panics
    /// When the program failed.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}\n{}{}", self.line, self.stdout, self.stderr);
        self.stdout.trim_end()
    }

    /// Asserts that it failed and said `text`.
    ///
    /// # Panics
    /// When it did not.
    pub fn fails_with(&self, text: &str) {
        assert_ne!(self.code, 0, "{} should fail\n{}{}", self.line, self.stdout, self.stderr);
        let said = format!("{}{}", self.stdout, self.stderr);
        assert!(said.contains(text), "{}\nsaid: {said}\nnot: {text}", self.line);
    }
}
