//! From a path to what it means. Names of repositories hold slashes, so a path
//! is read from its end.

use std::str::FromStr;

use serde_json::json;
use shoal_model::Digest;

use super::error::{Code, RegistryError};

/// Longest name of a repository (distribution specification).
const NAME_MAX_BYTES: usize = 255;
/// Longest tag.
const TAG_MAX_BYTES: usize = 128;

/// A repository's name, checked: it becomes a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

/// A tag, checked: it becomes a file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag(String);

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ManifestReference {
    Tag(Tag),
    Digest(Digest),
}

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    Tags(Name),
    Manifest(Name, ManifestReference),
    Blob(Name, Digest),
    Uploads(Name),
    Upload(Name, String),
    Referrers(Name, Digest),
}

impl Route {
    pub(super) fn parse(path: &str) -> Result<Self, RegistryError> {
        let not_here = || RegistryError::new(Code::NotHere, "not a path of a registry");
        let path =
            percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| not_here())?;
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Base),
            Some(rest) => rest.strip_prefix('/').ok_or_else(not_here)?,
            None => return Err(not_here()),
        };
        if rest == "_catalog" {
            return Ok(Self::Catalog);
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags(name.parse()?));
        }
        if let Some(name) =
            rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"))
        {
            return Ok(Self::Uploads(name.parse()?));
        }
        let (front, last) = rest.rsplit_once('/').ok_or_else(not_here)?;
        if let Some(name) = front.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload(name.parse()?, last.to_owned()));
        }
        if let Some(name) = front.strip_suffix("/blobs") {
            return Ok(Self::Blob(name.parse()?, digest(last)?));
        }
        if let Some(name) = front.strip_suffix("/referrers") {
            return Ok(Self::Referrers(name.parse()?, digest(last)?));
        }
        if let Some(name) = front.strip_suffix("/manifests") {
            return Ok(Self::Manifest(name.parse()?, last.parse()?));
        }
        Err(not_here())
    }

    /// The repository it is about.
    pub(super) fn name(&self) -> Option<&Name> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _) => Some(name),
        }
    }
}

pub(super) fn digest(text: &str) -> Result<Digest, RegistryError> {
    text.parse().map_err(|_| {
        RegistryError::new(Code::DigestInvalid, "provided digest did not match uploaded content")
            .about(json!({ "Digest": text }))
    })
}

impl Name {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        if text.len() <= NAME_MAX_BYTES && text.split('/').all(is_component) {
            Ok(Self(text.into()))
        } else {
            let error = RegistryError::new(Code::NameInvalid, "invalid repository name");
            Err(error.about(json!({ "Name": text })))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let mut rest = part;
    loop {
        let word =
            rest.bytes().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let dashes = rest.bytes().take_while(|&b| b == b'-').count();
        rest = match rest.as_bytes() {
            _ if dashes > 0 => &rest[dashes..],
            [b'_', b'_', ..] => &rest[2..],
            [b'.' | b'_', ..] => &rest[1..],
            _ => return false,
        };
    }
}

impl Tag {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if first && text.len() <= TAG_MAX_BYTES && text.bytes().all(inner) {
            Ok(Self(text.into()))
        } else {
            let error = RegistryError::new(Code::TagInvalid, "manifest tag did not match URI");
            Err(error.about(json!({ "Tag": text })))
        }
    }
}

impl FromStr for ManifestReference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        if text.contains(':') {
            digest(text).map(Self::Digest)
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = Digest::sha256([1; 32]);
        let name = |text: &str| text.parse::<Name>().unwrap();
        for (path, route) in [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/b/tags/list", Route::Tags(name("a/b"))),
            ("/v2/blobs/blobs/uploads/", Route::Uploads(name("blobs"))),
            ("/v2/a/blobs/uploads/u-1", Route::Upload(name("a"), "u-1".into())),
            (&format!("/v2/a/blobs/{digest}"), Route::Blob(name("a"), digest.clone())),
            (
                &format!("/v2/a/blobs/sha256%3A{}", digest.hex()),
                Route::Blob(name("a"), digest.clone()),
            ),
            (
                "/v2/manifests/manifests/v1",
                Route::Manifest(name("manifests"), "v1".parse().unwrap()),
            ),
        ] {
            assert_eq!(Route::parse(path).unwrap(), route, "{path}");
        }
    }

    #[test]
    fn what_would_become_a_strange_path_is_refused() {
        for (path, code) in [
            ("/", Code::NotHere),
            ("/v1/", Code::NotHere),
            ("/v2/a", Code::NotHere),
            ("/v2/../tags/list", Code::NameInvalid),
            ("/v2/a/../b/tags/list", Code::NameInvalid),
            ("/v2/%2e%2e/tags/list", Code::NameInvalid),
            ("/v2//tags/list", Code::NameInvalid),
            ("/v2/_layers/tags/list", Code::NameInvalid),
            ("/v2/A/tags/list", Code::NameInvalid),
            ("/v2/a___b/tags/list", Code::NameInvalid),
            ("/v2/a/manifests/..", Code::TagInvalid),
            ("/v2/a/manifests/.hidden", Code::TagInvalid),
            ("/v2/a/blobs/sha256:..", Code::DigestInvalid),
            ("/v2/a/blobs/x", Code::DigestInvalid),
        ] {
            assert_eq!(Route::parse(path).unwrap_err().code, code, "{path}");
        }
        assert!(format!("/v2/{}/tags/list", "a".repeat(256)).parse::<Name>().is_err());
    }
}
