//! Credentials kept by a program instead of docker's configuration file:
//! `docker-credential-NAME`, of `credsStore` and `credHelpers`.
//!
//! The protocol is that of docker-credential-helpers: a verb as the argument,
//! a registry or a document on standard input, a document on standard output,
//! where errors are told, too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::credentials::Credentials;

/// What a helper says when it has nothing for a registry.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user's name of a token that takes the place of name and password.
const TOKEN: &str = "<token>";

/// A program that keeps credentials.
#[derive(Debug)]
pub(super) struct Helper {
    program: String,
    /// Where it is looked for, if not in our own `PATH`.
    search: Option<OsString>,
}

impl Helper {
    /// The helper of that name.
    pub(super) fn new(name: &str, search: Option<OsString>) -> Self {
        Self { program: format!("docker-credential-{name}"), search }
    }

    /// The credentials for a registry, if the helper has some.
    ///
    /// # Errors
    /// When the helper cannot be run or fails.
    pub(super) fn get(&self, server: &str) -> Result<Option<Credentials>> {
        let Some(answer) = self.ask("get", server)? else { return Ok(None) };
        let answer: Value = serde_json::from_slice(&answer)
            .with_context(|| format!("{} get answered no JSON", self.program))?;
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        let mut found = Credentials { server: server.to_owned(), ..Credentials::default() };
        match text("Username") {
            name if name == TOKEN => found.identity_token = text("Secret"),
            name => (found.username, found.password) = (name, text("Secret")),
        }
        Ok(Some(found))
    }

    /// Keeps credentials under the registry's name in docker's configuration.
    ///
    /// # Errors
    /// When the helper cannot be run or fails.
    pub(super) fn store(&self, server: &str, credentials: &Credentials) -> Result<()> {
        let (name, secret) = match credentials.identity_token.as_str() {
            "" => (credentials.username.as_str(), credentials.password.as_str()),
            token => (TOKEN, token),
        };
        let document = json!({ "ServerURL": server, "Username": name, "Secret": secret });
        self.ask("store", &document.to_string()).map(drop)
    }

    /// Forgets a registry; true if it was known.
    ///
    /// # Errors
    /// When the helper cannot be run or fails.
    pub(super) fn erase(&self, server: &str) -> Result<bool> {
        // Some erase what they do not have without a word.
        Ok(self.get(server)?.is_some() && self.ask("erase", server)?.is_some())
    }

    /// The registries the helper has credentials for.
    ///
    /// # Errors
    /// When the helper cannot be run or fails.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        let Some(answer) = self.ask("list", "")? else { return Ok(Vec::new()) };
        let users: Option<BTreeMap<String, Value>> = serde_json::from_slice(&answer)
            .with_context(|| format!("{} list answered no JSON", self.program))?;
        Ok(users.unwrap_or_default().into_keys().collect())
    }

    /// Runs the helper; nothing when it has nothing for the registry.
    fn ask(&self, verb: &str, input: &str) -> Result<Option<Vec<u8>>> {
        let program = &self.program;
        let mut command = Command::new(program);
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(search) = &self.search {
            command.env("PATH", search);
        }
        let running = || format!("running {program}, which docker's configuration names");
        let mut child = command.spawn().with_context(running)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that fails at once reads nothing; its answer says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().with_context(running)?;
        if output.status.success() {
            return Ok(Some(output.stdout));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        match said.trim() {
            NOT_FOUND => Ok(None),
            "" => bail!("{program} {verb}: {}", output.status),
            said => Err(anyhow!("{program} {verb}: {said}")),
        }
    }
}
