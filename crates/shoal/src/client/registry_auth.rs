//! Credentials of registries: docker's `~/.docker/config.json`.
//!
//! Only the `auths` member is ours; everything else in the file is kept as it
//! is. The file is written mode 0600, beside itself and renamed.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};

/// The key Docker Hub has in the file.
const HUB: &str = "https://index.docker.io/v1/";

/// Who one is at a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The user's name.
    pub(crate) username: String,
    /// The password or token.
    pub(crate) password: String,
    /// A token that takes both their places.
    pub(crate) identity_token: String,
    /// The registry.
    pub(crate) server: String,
}

impl Credentials {
    /// The document the API takes.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({ "serveraddress": self.server });
        if self.identity_token.is_empty() {
            document["username"] = json!(self.username);
            document["password"] = json!(self.password);
        } else {
            document["identitytoken"] = json!(self.identity_token);
        }
        document
    }

    /// The value of `X-Registry-Auth`.
    pub(crate) fn header(&self) -> String {
        URL_SAFE.encode(self.document().to_string())
    }
}

/// docker's configuration file.
#[derive(Debug)]
pub(crate) struct DockerConfig {
    path: PathBuf,
    content: Map<String, Value>,
}

impl DockerConfig {
    /// Reads the file in `DOCKER_CONFIG` or `~/.docker`; none is an empty one.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(crate) fn load() -> Result<Self> {
        let directory = env::var_os("DOCKER_CONFIG").filter(|path| !path.is_empty());
        let directory = directory.map(PathBuf::from).unwrap_or_else(|| {
            Path::new(&env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker")
        });
        Self::read(directory.join("config.json"))
    }

    fn read(path: PathBuf) -> Result<Self> {
        let content = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("reading {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        Ok(Self { path, content })
    }

    /// The credentials for the registry `domain`; none stored is an anonymous user.
    ///
    /// # Errors
    /// When the entry cannot be read.
    pub(crate) fn credentials(&self, domain: &str) -> Result<Credentials> {
        let Some(auths) = self.content.get("auths").and_then(Value::as_object) else {
            return Ok(Credentials { server: key_of(domain), ..Credentials::default() });
        };
        let wanted = host_of(&key_of(domain)).to_owned();
        match auths.iter().find(|(key, _)| host_of(key) == wanted) {
            Some((key, entry)) => decode(key, entry),
            None => Ok(Credentials { server: key_of(domain), ..Credentials::default() }),
        }
    }

    /// The `X-Registry-Config` of a build: every registry's credentials.
    ///
    /// # Errors
    /// When an entry cannot be read.
    pub(crate) fn all(&self) -> Result<Value> {
        let auths = self.content.get("auths").and_then(Value::as_object);
        let entries = auths
            .into_iter()
            .flatten()
            .map(|(key, entry)| Ok((key.clone(), decode(key, entry)?.document())));
        Ok(Value::Object(entries.collect::<Result<_>>()?))
    }

    /// Keeps credentials and writes the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn store(&mut self, credentials: &Credentials) -> Result<()> {
        let auth = STANDARD.encode(format!("{}:{}", credentials.username, credentials.password));
        let mut entry = json!({ "auth": auth });
        if !credentials.identity_token.is_empty() {
            entry = json!({ "auth": STANDARD.encode(format!("{}:", credentials.username)),
                            "identitytoken": credentials.identity_token });
        }
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        auths[key_of(&credentials.server)] = entry;
        self.write()
    }

    /// Forgets a registry; true if it was known.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn forget(&mut self, domain: &str) -> Result<bool> {
        let Some(auths) = self.content.get_mut("auths").and_then(Value::as_object_mut) else {
            return Ok(false);
        };
        let wanted = key_of(domain);
        let before = auths.len();
        auths.retain(|key, _| host_of(key) != host_of(&wanted));
        let known = auths.len() != before;
        if known {
            self.write()?;
        }
        Ok(known)
    }

    fn write(&self) -> Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(directory)?;
            let new = self.path.with_extension(format!("json.{}", std::process::id()));
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(serde_json::to_string_pretty(&self.content)?.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().with_context(|| format!("writing {}", self.path.display()))
    }
}

/// The name a registry has in the file.
pub(crate) fn key_of(domain: &str) -> String {
    match domain {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        other => other.to_owned(),
    }
}

fn host_of(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    key.split('/').next().unwrap_or(key)
}

fn decode(server: &str, entry: &Value) -> Result<Credentials> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut credentials = Credentials {
        username: text("username"),
        password: text("password"),
        identity_token: text("identitytoken"),
        server: server.to_owned(),
    };
    let auth = text("auth");
    if !auth.is_empty() {
        let bytes = STANDARD
            .decode(auth.trim())
            .with_context(|| format!("reading the credentials of {server}"))?;
        let pair = String::from_utf8_lossy(&bytes).into_owned();
        let Some((user, password)) = pair.split_once(':') else {
            bail!("the credentials of {server} in docker's configuration are no user:password");
        };
        credentials.username = user.to_owned();
        credentials.password = password.trim_end_matches('\0').to_owned();
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_found_again_and_the_rest_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.json");
        fs::write(&path, r#"{"detachKeys":"ctrl-x"}"#).expect("a file");
        let mut config = DockerConfig::read(path.clone()).expect("a configuration");
        let credentials = Credentials {
            username: "ann".into(),
            password: "a:b".into(),
            server: "host:5000".into(),
            ..Credentials::default()
        };
        config.store(&credentials).expect("stored");
        let mut again = DockerConfig::read(path).expect("a configuration");
        assert_eq!(again.credentials("host:5000").expect("found"), credentials);
        assert_eq!(again.credentials("docker.io").expect("none").username, "");
        assert_eq!(again.content["detachKeys"], "ctrl-x");
        assert!(again.forget("host:5000").expect("forgotten"));
        assert!(!again.forget("host:5000").expect("unknown"));
    }
}
