//! Credentials of registries: docker's `~/.docker/config.json`.
//!
//! Only the `auths` member is ours; everything else in the file is kept as it
//! is. The file is written mode 0600, beside itself and renamed. Where it names
//! a program that keeps credentials, no password is written to it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shoal_model::registry_domain;

use super::credential_helper::Helper;
use super::credentials::Credentials;
use crate::print;

/// The key Docker Hub has in the file.
const HUB: &str = "https://index.docker.io/v1/";

/// docker's configuration file.
#[derive(Debug)]
pub(crate) struct DockerConfig {
    path: PathBuf,
    content: Map<String, Value>,
    /// Where helpers are looked for, if not in our own `PATH`.
    search: Option<OsString>,
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
        Ok(Self { path, content, search: None })
    }

    /// The credentials for the registry `domain`; none stored is an anonymous
    /// user. A helper that fails is told of: as with docker, what is open to
    /// anybody can be had without it.
    ///
    /// # Errors
    /// When the entry cannot be read.
    pub(crate) fn credentials(&self, domain: &str) -> Result<Credentials> {
        let wanted = key_of(domain);
        let kept = self.helper(&wanted).and_then(|helper| told(helper.get(&wanted)).flatten());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        match self.auths().find(|(key, _)| is_same(key, &wanted)) {
            Some((key, entry)) => decode(key, entry),
            None => Ok(Credentials { server: wanted, ..Credentials::default() }),
        }
    }

    /// The `X-Registry-Config` of a build: every registry's credentials.
    ///
    /// # Errors
    /// When an entry cannot be read.
    pub(crate) fn all(&self) -> Result<Value> {
        let mut all = Map::new();
        for (key, entry) in self.auths() {
            all.insert(key.clone(), decode(key, entry)?.document());
        }
        let store = self.text("credsStore").map(|name| self.helper_named(name));
        let listed = store.and_then(|store| told(store.list())).unwrap_or_default();
        for key in listed.iter().chain(self.members("credHelpers").map(|(key, _)| key)) {
            let kept = self.helper(key).and_then(|helper| told(helper.get(key)).flatten());
            all.extend(kept.map(|kept| (key.clone(), kept.document())));
        }
        Ok(Value::Object(all))
    }

    /// Keeps credentials and writes the file.
    ///
    /// # Errors
    /// When the file cannot be written, or the helper it names fails.
    pub(crate) fn store(&mut self, credentials: &Credentials) -> Result<()> {
        let key = key_of(&credentials.server);
        let entry = if let Some(helper) = self.helper(&key) {
            helper.store(&key, credentials)?;
            // As docker does: only who was logged in to, not as whom.
            json!({})
        } else if credentials.identity_token.is_empty() {
            let pair = format!("{}:{}", credentials.username, credentials.password);
            json!({ "auth": STANDARD.encode(pair) })
        } else {
            json!({ "auth": STANDARD.encode(format!("{}:", credentials.username)),
                    "identitytoken": credentials.identity_token })
        };
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        auths[key] = entry;
        self.write()
    }

    /// Forgets a registry; true if it was known.
    ///
    /// # Errors
    /// When the file cannot be written, or the helper it names fails.
    pub(crate) fn forget(&mut self, domain: &str) -> Result<bool> {
        let wanted = key_of(domain);
        let erased = self.helper(&wanted).map(|helper| helper.erase(&wanted)).transpose()?;
        let erased = erased.unwrap_or_default();
        let Some(auths) = self.content.get_mut("auths").and_then(Value::as_object_mut) else {
            return Ok(erased);
        };
        let before = auths.len();
        auths.retain(|key, _| !is_same(key, &wanted));
        let known = auths.len() != before;
        if known {
            self.write()?;
        }
        Ok(known || erased)
    }

    /// The program that keeps a registry's credentials; its own goes before
    /// that of all others.
    fn helper(&self, registry: &str) -> Option<Helper> {
        let own = self.members("credHelpers").find(|(key, _)| is_same(key, registry));
        let own = own.and_then(|(_, name)| name.as_str());
        own.or_else(|| self.text("credsStore")).map(|name| self.helper_named(name))
    }

    fn helper_named(&self, name: &str) -> Helper {
        Helper::new(name, self.search.clone())
    }

    fn auths(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.members("auths")
    }

    /// The members of an object in the file.
    fn members(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.content.get(key).and_then(Value::as_object).into_iter().flatten()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.content.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
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
fn key_of(server: &str) -> String {
    match registry_domain(server) {
        "docker.io" => HUB.to_owned(),
        domain => domain.to_owned(),
    }
}

fn is_same(left: &str, right: &str) -> bool {
    registry_domain(left) == registry_domain(right)
}

/// What a helper answered, or what is said about why it did not.
fn told<T>(answer: Result<T>) -> Option<T> {
    answer.inspect_err(|error| print::talk(format_args!("WARNING: {error:#}"))).ok()
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

    /// A configuration that names a helper, and the helper: it keeps what it is
    /// given in a file beside it.
    fn with_helper(directory: &Path, content: &str) -> DockerConfig {
        let kept = directory.join("kept");
        let script = format!(
            r#"#!/bin/sh
case $1 in
store) cat > {0} ;;
get) [ -s {0} ] && cat {0} || {{ echo credentials not found in native keychain; exit 1; }} ;;
erase) : > {0} ;;
list) echo '{{"host:5000":"ann"}}' ;;
esac
"#,
            kept.display()
        );
        // A shell writes it: a file that is open for writing anywhere, also in
        // a program another test is just starting, cannot be executed.
        let program = directory.join("docker-credential-test");
        let made = std::process::Command::new("sh")
            .args(["-c", r#"printf %s "$1" > "$2" && chmod 755 "$2""#, "sh", &script])
            .arg(program)
            .status();
        assert!(made.expect("a shell").success());
        let path = directory.join("config.json");
        fs::write(&path, content).expect("a file");
        let search = format!("{}:/usr/bin:/bin", directory.display());
        DockerConfig { search: Some(search.into()), ..DockerConfig::read(path).expect("read") }
    }

    fn ann() -> Credentials {
        Credentials {
            username: "ann".into(),
            password: "secret".into(),
            server: "host:5000".into(),
            ..Credentials::default()
        }
    }

    #[test]
    fn a_helper_keeps_the_passwords() {
        for content in [r#"{"credsStore":"test"}"#, r#"{"credHelpers":{"host:5000":"test"}}"#] {
            let directory = tempfile::tempdir().expect("a directory");
            let mut config = with_helper(directory.path(), content);
            assert_eq!(config.credentials("host:5000").expect("nobody").username, "");
            config.store(&ann()).expect("stored");
            let written = fs::read_to_string(&config.path).expect("the file");
            assert!(written.contains("host:5000") && !written.contains("\"auth\""), "{written}");
            assert_eq!(config.credentials("host:5000").expect("found"), ann());
            assert_eq!(config.all().expect("all")["host:5000"]["password"], "secret");
            assert!(config.forget("host:5000").expect("forgotten"));
            assert!(!config.forget("host:5000").expect("unknown"));
            assert_eq!(config.credentials("host:5000").expect("nobody").username, "");
        }
    }

    #[test]
    fn a_helper_keeps_tokens_and_nothing_of_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let content = r#"{"credHelpers":{"host:5000":"test"}}"#;
        let mut config = with_helper(directory.path(), content);
        let token = Credentials {
            identity_token: "t".into(),
            server: "host:5000".into(),
            ..Credentials::default()
        };
        config.store(&token).expect("stored");
        assert_eq!(config.credentials("host:5000").expect("found"), token);
        let other = Credentials { server: "other".into(), ..ann() };
        config.store(&other).expect("stored");
        assert_eq!(config.content["auths"]["other"]["auth"], STANDARD.encode("ann:secret"));
    }

    #[test]
    fn without_its_helper_a_login_fails_and_a_pull_is_nobodys() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = with_helper(directory.path(), r#"{"credsStore":"missing"}"#);
        let error = config.store(&ann()).expect_err("no helper");
        let want = "running docker-credential-missing, which docker's configuration names";
        assert_eq!(error.to_string(), want);
        assert!(!fs::read_to_string(&config.path).expect("the file").contains("auths"));
        assert_eq!(config.credentials("host:5000").expect("nobody").username, "");
        assert_eq!(config.all().expect("nobody"), json!({}));
    }
}
