//! Image references, with Docker's normalisation (`distribution/reference`).
//!
//! `ubuntu` means `docker.io/library/ubuntu`; the first path part is a domain
//! only if it has a dot, a colon, or is `localhost`. The whole form is kept,
//! the familiar one is what people see.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Digest;

/// The domain that is left out when people read.
const DEFAULT_DOMAIN: &str = "docker.io";
/// Older writing of the same registry.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// The host that serves it.
const HUB_DOMAIN: &str = "registry-1.docker.io";
/// The path prefix of official images on the default domain.
const OFFICIAL_PREFIX: &str = "library/";
/// The tag meant when none is given.
const DEFAULT_TAG: &str = "latest";
/// Longest name without tag and digest (the distribution spec's limit).
const NAME_MAX_BYTES: usize = 255;
/// Longest tag.
const TAG_MAX_BYTES: usize = 128;

/// A name for an image: registry, repository and, if given, tag and digest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Breaks the grammar.
    #[error("invalid reference format")]
    Format,
    /// The repository has capital letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// The name is too long.
    #[error("repository name must not be more than {NAME_MAX_BYTES} characters")]
    TooLong,
    /// It is an image id, which is no name.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    HexId(String),
}

impl crate::Classify for ReferenceError {
    fn kind(&self) -> crate::Kind {
        crate::Kind::Invalid
    }
}

/// The domain in a registry's address as clients write it: with a scheme and a
/// path or without, and Docker Hub, which is also meant by nothing, under each
/// of its names. Docker's own is `https://index.docker.io/v1/`.
pub fn registry_domain(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or(bare) {
        "" | LEGACY_DOMAIN | HUB_DOMAIN => DEFAULT_DOMAIN,
        domain => domain,
    }
}

impl Reference {
    /// Reads a reference as Docker's users write it.
    ///
    /// # Errors
    /// Docker's texts: see [`ReferenceError`].
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_image_id(text) {
            return Err(ReferenceError::HexId(text.into()));
        }
        let (name_and_tag, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse::<Digest>().map_err(|_| ReferenceError::Format)?))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(name_and_tag)?;
        let (domain, path) = split_domain(name);
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceError::Uppercase(path));
        }
        if !valid_domain(&domain) || !path.split('/').all(valid_component) {
            return Err(ReferenceError::Format);
        }
        if domain.len() + 1 + path.len() > NAME_MAX_BYTES {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self { domain, path, tag, digest })
    }

    /// The registry: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/ubuntu`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path: `docker.io/library/ubuntu`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name as people write it: `ubuntu`, without tag and digest. The
    /// whole one where the short one would be read as something else:
    /// `docker.io/quay.io/x` is not `quay.io/x`.
    pub fn familiar_name(&self) -> String {
        let path = self.path.as_str();
        let short = match path.strip_prefix(OFFICIAL_PREFIX) {
            Some(short) if !short.contains('/') => short,
            _ => path,
        };
        let reads_the_same = self.domain == DEFAULT_DOMAIN
            && !is_image_id(short)
            && split_domain(short) == (self.domain.clone(), self.path.clone());
        if reads_the_same { short.into() } else { self.name() }
    }

    /// The whole reference as people write it: `ubuntu:22.04`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// With tag `latest` if it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.into());
        }
        self
    }

    /// The same repository under another tag, without digest.
    ///
    /// # Errors
    /// When `tag` breaks the grammar.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !valid_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self { tag: Some(tag.into()), digest: None, ..self.clone() })
    }

    /// The same repository (and tag) pinned to `digest`.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The repository alone.
    #[must_use]
    pub fn without_suffix(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// The whole form, with the domain.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self})")
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A colon after the last slash starts the tag; one before it is a port.
fn split_tag(text: &str) -> Result<(&str, Option<String>), ReferenceError> {
    let last = text.rfind('/').map_or(0, |at| at + 1);
    match text[last..].find(':') {
        Some(at) => {
            let tag = &text[last + at + 1..];
            if !valid_tag(tag) {
                return Err(ReferenceError::Format);
            }
            Ok((&text[..last + at], Some(tag.into())))
        }
        None => Ok((text, None)),
    }
}

fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if looks_like_domain(first) => (first, rest),
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { domain };
    if domain == DEFAULT_DOMAIN && !path.contains('/') {
        return (domain.into(), format!("{OFFICIAL_PREFIX}{path}"));
    }
    (domain.into(), path.into())
}

fn looks_like_domain(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn valid_domain(domain: &str) -> bool {
    let (host, port) = if let Some(rest) = domain.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else { return false };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return false;
        }
        return after.is_empty() || after.strip_prefix(':').is_some_and(valid_port);
    } else {
        domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port)))
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(valid_port)
}

fn valid_port(port: &str) -> bool {
    !port.is_empty() && port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit())
}

/// Lower-case letters and digits, joined by `.`, `_`, `__` or dashes.
fn valid_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

fn valid_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && tag.len() <= TAG_MAX_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_normalisation() {
        for (text, whole, familiar) in [
            ("ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04"),
            ("me/app", "docker.io/me/app", "me/app"),
            ("index.docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            (
                "localhost:8003/spider:0.01",
                "localhost:8003/spider:0.01",
                "localhost:8003/spider:0.01",
            ),
            ("localhost/spider", "localhost/spider", "localhost/spider"),
            (
                "10.0.0.1:5000/a/b_c/d--e:v1",
                "10.0.0.1:5000/a/b_c/d--e:v1",
                "10.0.0.1:5000/a/b_c/d--e:v1",
            ),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            ("docker.io/quay.io/x", "docker.io/quay.io/x", "docker.io/quay.io/x"),
            ("docker.io/localhost/x:1", "docker.io/localhost/x:1", "docker.io/localhost/x:1"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), whole);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(Reference::parse(whole).unwrap(), reference);
            assert_eq!(Reference::parse(familiar).unwrap(), reference);
        }
    }

    #[test]
    fn a_registry_has_one_domain() {
        for hub in [
            "",
            "docker.io",
            "index.docker.io",
            "registry-1.docker.io",
            "https://index.docker.io/v1/",
            "https://registry-1.docker.io",
        ] {
            assert_eq!(registry_domain(hub), "docker.io", "{hub}");
        }
        for other in ["host:5000", "http://host:5000", "https://host:5000/v2/", "host:5000/v1"] {
            assert_eq!(registry_domain(other), "host:5000", "{other}");
        }
    }

    #[test]
    fn tag_and_digest_together() {
        let digest = Digest::sha256([1; 32]);
        let reference = Reference::parse(&format!("a.b/c:1@{digest}")).unwrap();
        assert_eq!((reference.tag(), reference.digest()), (Some("1"), Some(&digest)));
        assert_eq!(reference.with_tag("2").unwrap().to_string(), "a.b/c:2");
    }

    #[test]
    fn what_is_not_a_reference_is_refused() {
        let id = "0".repeat(64);
        let long = format!("a/{}", "b".repeat(300));
        for bad in [
            "",
            "/",
            "a//b",
            ":tag",
            "a:",
            "a b",
            "a@sha256:1",
            "-a",
            "a-",
            "a..b",
            "http://x/y",
            &id,
            &long,
            "a.b:port/x",
            "[zz]/x",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Reference::parse("Ubuntu").unwrap_err().to_string(),
            "invalid reference format: repository name (library/Ubuntu) must be lowercase"
        );
    }

    #[test]
    fn the_default_tag_is_only_for_bare_names() {
        assert_eq!(Reference::parse("a").unwrap().with_default_tag().tag(), Some("latest"));
        assert_eq!(Reference::parse("a:1").unwrap().with_default_tag().tag(), Some("1"));
    }
}
